# Sourced by the other scripts. Makes the virtual environment .venv in the checkout,
# with this project (editable) and the extras named in $extras; at once when that
# was done before and pyproject.toml is the same. PYTHON chooses the interpreter;
# without it, that of the .venv that is there, or python3.

cd "$(dirname "$0")/.." || exit 1

if [ -n "${PYTHON-}" ] || [ ! -x .venv/bin/python ]; then
    python=${PYTHON:-python3}
else
    python=.venv/bin/python
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
    echo "trioecho needs Python 3.10 or newer; set PYTHON to one, as in: PYTHON=python3.12 $0" >&2
    exit 1
fi

# What the environment was made from; .venv/made has a line for each set of extras.
made="$extras $("$python" -c 'import sys; print(sys.version)' | tr '\n' ' ')$(cksum <pyproject.toml)"
if ! grep -qsxF "$made" .venv/made; then
    echo "setting up .venv for $extras (once) ..." >&2
    if ! grep -qsF "${made#* }" .venv/made; then
        if ! "$python" -m venv --clear .venv; then
            echo "cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2
            exit 1
        fi
    fi
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$extras]" || exit 1
    echo "$made" >>.venv/made
fi
