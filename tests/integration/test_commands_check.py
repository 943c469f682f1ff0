"""`check`, `init` and `serve` as subprocesses: every fault at once, nothing overwritten."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from stemwatch.operations.check.account import looked_as
from tests.support.broken import TYPE_ERROR, Broken, no_library
from tests.support.commands import COMMAND, Home, a_job, environment, run
from tests.support.scenario.server import ScenarioServer
from tests.support.webhook_receiver import Receiver

KEY = "canary-key-0123456789"
LOCAL = "api: {base_url: local}\n"


def against(tmp_path: Path, server: ScenarioServer) -> Home:
    home = Home(tmp_path, f"api: {{base_url: '{server.url}', key_file: key}}")
    (tmp_path / "key").write_text(KEY + "\n")
    (tmp_path / "key").chmod(0o600)
    return home


def test_all_well_with_an_api(tmp_path: Path) -> None:
    """Each subject has its line, the key is not shown, nothing is submitted, exit 0."""
    with ScenarioServer(key=KEY) as server:
        home = against(tmp_path, server)
        home.journal(a_job("a.mp3"))
        told = home.run("check")
        assert server.requests("post") == []
    assert told.returncode == 0, told.stdout
    for subject in (
        "configuration",
        "folders",
        "audio",
        "key",
        "API",
        "clock",
        "watching",
        "journal",
    ):
        assert f"✓ {subject}: " in told.stdout
    assert "✓ prepare: lossless songs are sent as FLAC (prepare.upload: auto)" in told.stdout
    assert "(mode 0600)" in told.stdout
    assert "readable and whole, 1 song\n" in told.stdout
    assert KEY not in told.stdout + told.stderr


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (TYPE_ERROR.format(of=""), "TypeError: open() got an unexpected keyword argument"),
        (no_library("mutagen"), "No module named 'mutagen"),
    ],
    ids=["a wrong version", "a missing library"],
)
def test_a_broken_installation_is_told_before_a_song_is(
    tmp_path: Path, fault: str, words: str
) -> None:
    """A second of made sound tells; what is installed and what mends it is named, exit 78."""
    home, broken = Home(tmp_path, LOCAL), Broken(tmp_path)
    broken.by(fault)
    told = home.run("check", env=broken.env)
    assert told.returncode == 78
    line = next(line for line in told.stdout.splitlines() if "audio: " in line)
    assert line.startswith("✗")
    assert words in line
    assert "av 1" in line
    assert "-m pip install --upgrade" in told.stdout


def test_every_inbox_is_looked_at(tmp_path: Path) -> None:
    """Its folders and its room, each with its own key; a fault of one is told beside the others."""
    home = Home(tmp_path, LOCAL)
    folders = "{inbox: dj, outbox: dj-out, quarantine: dj-bad, archive: dj-old}"
    home.config.write_text(
        f"state_dir: state\n{LOCAL}inboxes: {{dj: {{folders: {folders}}}, karaoke: {{}}}}\n"
    )
    (tmp_path / "dj").mkdir()
    told = home.run("check")
    assert told.returncode == 78
    assert "inboxes.karaoke.folders.inbox: " in told.stdout
    assert "✓ inboxes.dj.folders.outbox: " in told.stdout
    (tmp_path / "stemwatch" / "karaoke" / "inbox").mkdir(parents=True)
    told = home.run("check")
    assert told.returncode == 0, told.stdout
    assert f"✓ inboxes.dj.folders: written, renamed and deleted in {tmp_path}/dj, " in told.stdout
    assert "✓ inboxes.karaoke.folders: " in told.stdout


def test_several_faults_are_told_at_once(tmp_path: Path) -> None:
    """A refused key, a missing inbox, a broken journal, a taken port: all, with hints, exit 78."""
    with ScenarioServer(key="another") as server:
        home = against(tmp_path, server)
        taken = server.origin.removeprefix("http://")
        home.config.write_text(f"{home.config.read_text()}web: {{listen: '{taken}'}}\n")
        home.inbox.rmdir()
        home.database.write_bytes(b"no database" * 500)
        told = home.run("check")
    assert told.returncode == 78
    faults = [line for line in told.stdout.splitlines() if line.startswith("✗")]
    assert len(faults) == 4, told.stdout
    assert "folders.inbox" in faults[0]
    assert faults[1].startswith("✗ API:")
    assert "journal" in faults[2]
    assert f"web.listen: {taken} can't be used" in faults[3]
    assert "4 faults." in told.stdout
    assert KEY not in told.stdout + told.stderr


def test_a_dead_api_and_an_open_key_file(tmp_path: Path) -> None:
    """No server there is a fault; a key that everybody can read is one, and is not sent."""
    with ScenarioServer() as server:
        home = against(tmp_path, server)
        (tmp_path / "key").chmod(0o644)
        told = home.run("check")
        assert told.returncode == 78
        assert "chmod 600" in told.stdout
        assert "the wire separate; whether it takes the key was not asked" in told.stdout
        assert not [entry for entry in server.log if "authorization" in entry["headers"]]
    (tmp_path / "key").chmod(0o600)
    told = home.run("check")
    assert told.returncode == 78
    assert "✗ API:" in told.stdout


def test_the_configuration_s_faults_come_with_their_keys(tmp_path: Path) -> None:
    """Every unknown key, its suggestion, exit 78; and no configuration at all is one fault."""
    home = Home(tmp_path, "watch: {setle_seconds: 5}\nseparation: {stems: 3}")
    told = home.run("check")
    assert told.returncode == 78
    assert "did you mean watch.settle_seconds?" in told.stdout
    assert "separation.stems" in told.stdout
    assert "then run `stemwatch check`." in told.stdout
    named = home.config.rename(tmp_path / "my config.yaml")
    again = home.run("check", "-c", named.name)
    assert f"then run `stemwatch check -c '{named}'`." in again.stdout
    told = home.run("check")
    assert told.returncode == 78
    assert "stemwatch init" in told.stdout


def test_a_faulty_key_hides_no_other_fault(tmp_path: Path) -> None:
    """What does not depend on it is looked at all the same; the count is of all of them."""
    home = Home(tmp_path, f"{LOCAL}watch: {{setle_seconds: 5}}\nseparation: {{stems: 3}}")
    home.inbox.rmdir()
    home.database.write_bytes(b"no database" * 500)
    told = home.run("check")
    assert told.returncode == 78
    faults = [line for line in told.stdout.splitlines() if line.startswith("✗")]
    assert len(faults) == 4, told.stdout
    assert "did you mean watch.settle_seconds?" in faults[0]
    assert "separation.stems" in faults[1]
    assert faults[2].startswith("✗ folders.inbox: ")
    assert faults[3].startswith("✗ journal: ")
    assert "4 faults." in told.stdout
    assert "✓ audio: " in told.stdout


@pytest.mark.parametrize(
    ("more", "left_out", "mended"),
    [
        ("folder: {inbox: elsewhere}", "folders, watching, room", "folders"),
        ("state_dir: 3", "folders, watching, room", "state_dir"),
        ("notify: {urls: 3}", "notify, hooks", "notify"),
    ],
)
def test_what_a_faulty_key_leaves_unknown_is_not_tried(
    tmp_path: Path, more: str, left_out: str, mended: str
) -> None:
    """Nothing is written into a default's folder, and nobody else's journal is read."""
    home = Home(tmp_path, LOCAL + more)
    told = home.run("check", env={"XDG_STATE_HOME": os.fspath(tmp_path / "theirs")})
    assert told.returncode == 78
    assert f"! {left_out}: not looked at" in told.stdout
    assert f"  Mend {mended} first." in told.stdout
    assert "✓ audio: " in told.stdout
    assert "theirs" not in told.stdout
    assert not (tmp_path / "stemwatch").exists()


def test_no_key_is_sent_where_the_address_is_in_doubt(tmp_path: Path) -> None:
    """A slip of the pen in `api` must not send a key to a default's address."""
    with ScenarioServer(key=KEY) as server:
        home = Home(tmp_path, f"api: {{base_url: '{server.url}', key_flie: key}}")
        told = home.run("check", env={"STEMSPLIT_API_KEY": KEY})
        assert server.log == []
    assert told.returncode == 78
    assert "! key, API: not looked at" in told.stdout
    assert "✓ folders: " in told.stdout


def test_an_address_whose_name_is_broken_is_told(tmp_path: Path) -> None:
    """httpx takes it, and raises where its host is read."""
    home = Home(tmp_path, "api: {base_url: 'https://xn--/v1'}")
    told = home.run("check", env={"STEMSPLIT_API_KEY": KEY})
    assert told.returncode == 78
    assert "api.base_url is not an http(s) address" in told.stdout
    assert "Traceback" not in told.stderr


def test_check_for_a_local_run_asks_no_key_and_no_api(tmp_path: Path) -> None:
    """`check --local` looks at what `run --local` needs, whatever the configuration names."""
    home = Home(tmp_path, "api: {base_url: 'http://127.0.0.1:9/v1'}")
    assert home.run("check").returncode == 78
    told = home.run("check", "--local")
    assert told.returncode == 0, told.stdout
    assert "✓ key: none needed, this machine separates" in told.stdout
    assert "✓ API: this machine" in told.stdout


def test_plain_marks_where_check_marks_can_t_be_shown(tmp_path: Path) -> None:
    """An ASCII stream gets words, and this machine needs no key."""
    home = Home(tmp_path)
    told = home.run("check", env={"PYTHONIOENCODING": "ascii"})
    assert told.returncode == 0, told.stdout
    assert told.stdout.isascii()
    assert "ok    key: none needed" in told.stdout


def test_check_leaves_nothing_behind(tmp_path: Path) -> None:
    """The same files before and after."""
    home = Home(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    home.run("check")
    assert sorted(tmp_path.rglob("*")) == before


def test_init_writes_once_and_makes_the_folders(tmp_path: Path) -> None:
    """A second run leaves the file as it is: exit 78. The result passes as a configuration."""
    first = run("init", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert (tmp_path / "stemwatch" / "inbox").is_dir()
    assert "3. `stemwatch run`" in first.stdout
    written = tmp_path / "stemwatch.yaml"
    written.write_text("# mine\n")
    second = run("init", cwd=tmp_path)
    assert second.returncode == 78
    assert "left as it is" in second.stderr
    assert written.read_text() == "# mine\n"
    elsewhere = run("init", "etc/my config.yaml", cwd=tmp_path)
    assert elsewhere.returncode == 0
    assert "-c 'etc/my config.yaml'" in elsewhere.stdout


def test_init_can_be_tried_again_where_its_folders_could_not_be_made(tmp_path: Path) -> None:
    """No file is left behind that the second try would be refused for."""
    (tmp_path / "file").write_text("in the way")
    first = run("init", "--folders", "file/songs", "made.yaml", cwd=tmp_path)
    assert first.returncode == 78, first.stderr
    assert not (tmp_path / "made.yaml").exists()
    second = run("init", "--folders", "songs", "made.yaml", cwd=tmp_path)
    assert second.returncode == 0, second.stderr
    assert (tmp_path / "songs" / "inbox").is_dir()


@pytest.mark.parametrize("more", [("my.yaml",), ("--folders", "songs"), ("--user", "my.yaml")])
def test_init_for_systemd_takes_no_path_and_no_folders(
    tmp_path: Path, more: tuple[str, ...]
) -> None:
    """They would be ignored: exit 2, and it says which of them."""
    told = run("init", "--systemd", *more, cwd=tmp_path)
    assert (told.returncode, told.stdout) == (2, "")
    assert ("--folders can't" if "songs" in more else "PATH can't") in told.stderr


def test_the_printed_lines_say_how_to_do_without_a_key_and_how_to_look(tmp_path: Path) -> None:
    """The unit does not start without its credential, and nothing puts it into anybody's $PATH."""
    lines = run("init", "--systemd", cwd=tmp_path).stdout
    assert "#   sudo install -m 600 /dev/null /etc/stemwatch/api-key\n" in lines
    program = next(line.split()[1] for line in lines.splitlines() if " init --folders " in line)
    look = f"STATE_DIRECTORY=/var/lib/stemwatch {program} status -c /etc/stemwatch/config.yaml\n"
    assert f"sudo -u stemwatch env {look}" in lines
    sees = f"/etc/stemwatch/api-key {program} check -c /etc/stemwatch/config.yaml\n"
    (check,) = (line for line in lines.splitlines(keepends=True) if line.endswith(sees))
    page = Path(__file__).parents[2].joinpath("docs/systemd.md").read_text("utf-8")
    assert f"sudo -u stemwatch env {look.replace(program, '/opt/stemwatch/bin/stemwatch')}" in page
    installed = check.replace(program, "/opt/stemwatch/bin/stemwatch").removeprefix("#   ")
    assert f"\n{installed}" in page


def test_serve_answers_with_its_key_and_stops_on_sigterm(tmp_path: Path) -> None:
    """The key file is asked for, the data goes to the state directory, exit 0."""
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "key").chmod(0o600)
    options = ("--webhook-secret-file", "key", "--credits", "5", "--rate-limit", "7")
    child = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", "--key-file", "key", *options],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    with child.stdout:
        words = child.stdout.readline().split()
        assert words[:2] == ["stemwatch", "serve:"]
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{words[2]}/jobs/job_0", timeout=60)
        refused.value.close()
        assert refused.value.code == 401
        balance = urllib.request.Request(
            words[2].replace("/v1", "/api/v1/balance"), headers={"Authorization": f"Bearer {KEY}"}
        )
        with urllib.request.urlopen(balance, timeout=60) as answer:
            assert json.load(answer)["balanceSeconds"] == 5
            assert answer.headers["X-RateLimit-Limit"] == "7"
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0
    assert (tmp_path / ".local/state/stemwatch/serve").is_dir()


def test_serve_refuses_what_it_can_t_use(tmp_path: Path) -> None:
    """An unknown engine and an open key file: exit 78, one sentence, no traceback."""
    unknown = run("serve", "--engine", "spectrl", cwd=tmp_path)
    assert unknown.returncode == 78
    assert "'spectral'" in unknown.stderr
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "key").chmod(0o644)
    opened = run("serve", "--key-file", "key", cwd=tmp_path)
    assert opened.returncode == 78
    assert opened.stderr.startswith("stemwatch: --key-file: ")
    secret = run("serve", "--webhook-secret-file", "key", cwd=tmp_path)
    assert secret.returncode == 78
    assert secret.stderr.startswith("stemwatch: --webhook-secret-file: ")
    (tmp_path / "nothing").touch(0o600)
    nothing = run("serve", "--webhook-secret-file", "nothing", cwd=tmp_path)
    assert nothing.returncode == 78
    assert nothing.stderr.startswith("stemwatch: --webhook-secret-file: ")
    assert "must hold a webhook's secret" in nothing.stderr
    assert KEY not in opened.stderr + secret.stderr


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--keep-hours", "0"),
        ("--keep-hours", "-5"),
        ("--keep-hours", "nan"),
        ("--keep-hours", "inf"),
        ("--public-url", "foo"),
        ("--public-url", "ftp://stems.example.org"),
        ("--public-url", "https://"),
        ("--public-url", "https://stems.example.org:x/"),
    ],
)
def test_serve_refuses_options_that_make_no_sense(tmp_path: Path, option: str, value: str) -> None:
    """As a port that is none: exit 2, and the option is named."""
    told = run("serve", "--port", "0", option, value, cwd=tmp_path)
    assert (told.returncode, told.stdout) == (2, "")
    assert option in told.stderr


def test_looking_starts_quickly(tmp_path: Path) -> None:
    """`status` loads no audio, no server and no numpy: somebody waits for it."""
    home = Home(tmp_path)
    loaded = subprocess.run(
        [
            *COMMAND[:1],
            "-c",
            "import sys; from stemwatch import cli; cli.run(['status']);"
            "print([m for m in ('av', 'numpy', 'starlette', 'mutagen') if m in sys.modules])",
        ],
        cwd=home.root,
        env=environment(home.root),
        capture_output=True,
        text=True,
        check=True,
    )
    assert loaded.stdout.splitlines()[-1] == "[]"


def test_notices_and_hooks_are_looked_at(tmp_path: Path) -> None:
    """Every address and program that can't work, without the address; 78. Nothing is sent."""
    with Receiver() as receiver:
        good = receiver.url.replace("http", "json", 1)
        urls = f"urls: ['{good}/canary-a', 'nosuch://canary-b'], urls_file: urls"
        (tmp_path / "urls").write_text(f"# mine\n{good}/canary-c\n")
        (tmp_path / "urls").chmod(0o600)
        (tmp_path / "hook").write_text("#!/bin/sh\n")
        hooks = "delivered: [./hook], paused: [no-such-program-anywhere], resumed: ['true']"
        home = Home(tmp_path, f"{LOCAL}notify: {{{urls}}}\nhooks: {{{hooks}}}")
        told = home.run("check")
        assert receiver.calls == []
    assert told.returncode == 78
    faults = [line for line in told.stdout.splitlines() if line.startswith("✗")]
    assert faults == [
        "✗ notify.urls[1] (nosuch): Apprise knows no such URL",
        f"✗ hooks.delivered: {tmp_path}/hook can't be executed by uid {os.geteuid()}",
        "✗ hooks.paused: no-such-program-anywhere is not in $PATH",
    ]
    assert "canary" not in told.stdout + told.stderr


def test_a_test_message_is_sent_where_it_is_asked_for(tmp_path: Path) -> None:
    """One to each address; who does not take it is a fault."""
    with Receiver() as good, Receiver([403]) as bad:
        urls = [one.url.replace("http", "json", 1) for one in (good, bad)]
        home = Home(tmp_path, f"{LOCAL}notify: {{urls: {json.dumps(urls)}}}")
        home.config.chmod(0o644)
        told = home.run("check", "--notify")
        assert (len(good.calls), len(bad.calls)) == (1, 1)
    assert told.returncode == 78
    assert "✓ notify.urls[0] (json): took a test message" in told.stdout
    assert "✗ notify.urls[1] (json): " in told.stdout
    assert "403" in told.stdout
    assert "can be read by every account" in told.stdout


def test_an_open_or_odd_file_of_addresses_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "urls").write_text("canary-without-scheme\n")
    (tmp_path / "urls").chmod(0o644)
    home = Home(tmp_path, f"{LOCAL}notify: {{urls_file: urls}}")
    assert "chmod 600" in home.run("check").stdout
    (tmp_path / "urls").chmod(0o600)
    told = home.run("check")
    assert told.returncode == 78
    assert f"notify.urls_file: {tmp_path}/urls:1 is no URL." in told.stdout
    assert "canary" not in told.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="gives the state folder to another account")
def test_root_is_told_that_the_service_is_somebody_else_s(tmp_path: Path) -> None:
    """Nothing that is closed to the service is closed to root; and advice is for the service."""
    home = Home(tmp_path, f"{LOCAL}notify: {{urls: ['json://127.0.0.1:9']}}")
    home.config.chmod(0o644)
    os.chown(home.state, 54321, 54321)
    told = home.run("check")
    assert told.returncode == 0, told.stdout
    assert "! account: nothing is closed to root; " in told.stdout
    assert "account, uid 54321, may" in told.stdout
    assert f"  `chgrp 54321 {home.config} && chmod 640 {home.config}`, or " in told.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="gives the inbox to another account")
def test_root_without_the_service_s_environment_is_told_so_too(tmp_path: Path) -> None:
    """By plain `sudo`, state_dir is root's own; the inbox is the service's. Or all is root's."""
    home = Home(tmp_path, LOCAL)
    os.chown(home.inbox, 54321, 54321)
    assert "account, uid 54321, may" in home.run("check").stdout
    home.journal()  # a service of root's with a user's inbox, such as in a container
    assert "account:" not in home.run("check").stdout


def test_only_root_is_told_so() -> None:
    """Who is not root is refused like the service; and a service may be root's own."""
    assert [*looked_as(7, (8, 8)), *looked_as(0, (0, 0)), *looked_as(0, None)] == []
    (told,) = looked_as(0, (8, 8))
    assert told.level == "warning"
