"""Numbers of forward evaluations, in the trial ledger: a kind of their own, apart from those on holdouts."""

from filelock import FileLock

from forge_core.evidence.searches.subject import Subject
from forge_core.files import canonical_json, content_hash, read_json, write_json
from forge_core.paths import safe_name


def record_forward_evaluation(subject: Subject, bars_hash: str) -> int:
    """Record a forward evaluation of a study's champion, before it starts; return its number, from 1.

    Evaluations are counted by champion; one on the same bars keeps its number.
    """
    entry = {
        "study": subject.spec.name,
        "manifest_hash": subject.plan.hash,
        "play": subject.report.play,
        "bars": bars_hash,
    }
    study = safe_name(subject.spec.name, "study name")
    folder = subject.plan.home.ledger / "forward" / study / f"{subject.plan.hash}-{subject.report.play}"
    path = folder / f"{content_hash(canonical_json(entry))}.json"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):  # evaluations at the same time are numbered one after the other
        if path.exists():
            return int(read_json(path)["evaluation"])
        number = 1 + sum(1 for _ in folder.glob("*.json"))
        write_json(path, {**entry, "evaluation": number})
        return number
