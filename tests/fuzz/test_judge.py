"""The judge itself: whatever may go wrong in a child is seen, named, and not the end of the run."""

import pytest

from fuzz.cases import Case, Odd, read, save
from fuzz.worker import Worker

pytestmark = pytest.mark.xdist_group("fuzz judge")


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    with Worker(tmp_path_factory.mktemp("judge") / "scratch", seconds=4.0) as made:
        yield made


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ("crash", "crashed"),
        ("abort", "crashed"),
        ("exit", "crashed"),
        ("hang", "hung"),
        ("spin", "hung"),
        ("allocate", "raised"),
        ("allocate quietly", "memory"),
        ("touch", "memory"),
        ("raise", "raised"),
        ("system", "executed"),
        ("swallowed", "executed"),
        ("canary", "executed"),
        ("import", "executed"),
        ("write", "executed"),
        ("change", "changed"),
        ("create", "changed"),
        ("print", "printed"),
        ("insane", "insane"),
    ],
)
def test_what_goes_wrong_is_a_finding_and_the_next_input_runs(worker, how, kind):
    files = {"input": b"content"}
    assert worker.run(Case("misbehave", how, files, {"how": how})).kind == kind
    assert worker.run(Case("misbehave", "nothing", files, {"how": "nothing"})).kind == "accepted"


def test_a_kept_case_reads_back(tmp_path):
    files = {"a/model.pt": b"\x00\xff", "b": Odd("link", "/dev/zero"), "c": Odd("fifo")}
    case = Case("checkpoint", "seed: way", files, {"path": "./a/model.pt"})
    assert read(save(case, tmp_path / "kept")) == case
