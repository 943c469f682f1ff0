#!/usr/bin/env bash
# With pytest 9.2 xdist 3.8 spreads the tests of one group over all workers, and says nothing.
#
# `--dist loadgroup` promises that tests marked with one xdist_group run in one process, so that
# they can share a server, or stay out of each other's way. With 9.1 they do.
set -eu
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv" || exit 2
cat >"$work/test_group.py" <<'END'
import os, pytest
pytestmark = pytest.mark.xdist_group("one")
@pytest.mark.parametrize("n", range(12))
def test_it(n):
    with open("workers", "a") as file:
        print(os.environ["PYTEST_XDIST_WORKER"], file=file)
END
cd "$work"
workers() {
    venv/bin/pip install -qq "pytest==$1" pytest-xdist==3.8.0 || exit 2
    rm -f workers
    venv/bin/python -m pytest -q -p no:cacheprovider -n 3 --dist loadgroup >log || { cat log; exit 2; }
    sort -u workers | wc -l
}
before=$(workers 9.1.1)
after=$(workers 9.2.0)
echo "versions: pytest-xdist 3.8.0 with pytest 9.1.1 and 9.2.0"
echo "expected: the 12 tests of one group share one worker"
echo "seen:     workers that ran them: $before with pytest 9.1.1, $after with 9.2.0; all tests pass"
[ "$before" = 1 ] && [ "$after" -gt 1 ]
