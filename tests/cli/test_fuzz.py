"""A small slice of `tests/fuzz.py`, which runs for as long as one likes."""

import subprocess
import sys

from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from mma82cli.records import DataError
from mma82cli.stream import parse


def test_damaged_inputs_end_in_one_line(tmp_path):
    command = [sys.executable, ROOT / "tests" / "fuzz.py", "--quick", "--cases", "70", "--seed", "1", "--keep", tmp_path / "kept"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "70 cases" in done.stdout, done.stdout + done.stderr
    refused = int(done.stdout.splitlines()[-1].split()[2])
    assert 20 < refused < 70  # damage is seen, and not everything is damage


@settings(max_examples=200)
@given(st.binary(max_size=80) | st.text(max_size=40).map(lambda t: b"\xef\xbb\xbf{" + t.encode("utf-8", "surrogatepass") + b"}"))
def test_any_line_is_a_record_or_an_error_of_ours(raw):
    try:
        assert type(parse(raw, 1)) is dict
    except DataError as error:
        assert "expected" in str(error) and "\n" not in str(error)
