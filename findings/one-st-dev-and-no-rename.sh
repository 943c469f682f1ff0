#!/usr/bin/env bash
# Two folders of one st_dev, on one disk, can't be renamed into each other where each was mounted by itself.
#
# Containers mount folders of one disk one by one. Whoever compares st_dev, to know whether a file can be moved at
# once, hears yes; os.rename and os.link say "Invalid cross-device link". f_fsid is the same, too, and
# os.path.ismount says False. shutil.move then copies, byte by byte, in sight of whoever watches the folder.
# Send2Trash compares: its trash gets the song twice, once without a file. Only a rename that is tried tells.
# Needs `unshare -Urm`. Seen with Linux 6.18, Python 3.11.7 and Send2Trash 2.2.0.
set -eu
unshare -Urm true 2>/dev/null || { echo "no mounts for users here (unshare -Urm)" >&2; exit 2; }
work=$(mktemp -d) && trap 'rm -rf --one-file-system "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
"$work/venv/bin/pip" install -qq send2trash==2.2.0 || exit 2
cd "$work" && mkdir -p disk/inbox disk/home inbox home && cat > moving.py <<'END'
import errno, os, pathlib, platform, sys
from importlib.metadata import version
from send2trash import send2trash

def says(move):
    """The name of the error that `move` ends with; "done" without one."""
    try:
        move("inbox/song", "home/song")
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"

pathlib.Path("inbox/song").write_text("a song")
one, other = os.stat("inbox"), os.stat("home")
alike = one.st_dev == other.st_dev, os.statvfs("inbox").f_fsid == os.statvfs("home").f_fsid
mounts = os.path.ismount("inbox"), os.path.ismount("home")
told = says(os.rename), says(os.link)
send2trash(os.path.abspath("inbox/song"))
trash = pathlib.Path("home/.local/share/Trash")
entries, files = (sorted(os.listdir(trash / name)) for name in ("info", "files"))
print("versions: Linux", platform.release().split("-")[0] + ", Python", platform.python_version(),
      "and Send2Trash", version("send2trash"))
print("expected: a file can be renamed within one st_dev; one that can't lies on another")
print(f"seen:     the same st_dev: {alike[0]}, the same f_fsid: {alike[1]}; ismount: {mounts[0]} and {mounts[1]}")
print(f"          os.rename: {told[0]}, os.link: {told[1]}; the trash lists {entries} and has {files}")
same = alike == (True, True) and mounts == (False, False) and told == ("EXDEV", "EXDEV")
sys.exit(0 if same and (len(entries), len(files)) == (2, 1) else 1)
END
unset XDG_DATA_HOME
unshare -Urm sh -c 'mount --bind disk/inbox inbox && mount --bind disk/home home || exit 2
                    HOME=$PWD/home exec venv/bin/python moving.py'
