# Sourced by scripts/run, scripts/test and scripts/check: makes .venv with everything that pyproject.toml names, once per
# change of that file, and sets PYTHON. Needs Python 3.11 or newer with pip; PYTHON_BIN chooses another interpreter.
find_python() {
  for name in ${PYTHON_BIN:-} python3.13 python3.12 python3.11 python3 python; do
    if "$name" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  echo "scripts: no Python 3.11 or newer found; install one or set PYTHON_BIN" >&2
  exit 2
}

PYTHON="$PWD/.venv/bin/python"
stamp=".venv/.installed"
if [ ! -e "$stamp" ] || ! cmp -s pyproject.toml "$stamp"; then
  echo "setting up .venv ..." >&2
  [ -x "$PYTHON" ] || "$(find_python)" -m venv .venv
  "$PYTHON" -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
  cp pyproject.toml "$stamp"
fi
