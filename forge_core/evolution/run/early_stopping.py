"""Early stopping of a study, decided from its tables at the end of each epoch."""

from forge_core.evolution.spec.study import StudySpec
from forge_core.evolution.storage.paths import StudyFolder
from forge_core.evolution.storage.tables import read_hypervolume


def final_generation(spec: StudySpec, folder: StudyFolder) -> int:
    """Return the last generation of a study: of all, or of the epoch after which it stops early.

    It stops early if, at the end of an epoch, the hypervolume rose by no more than the fraction ``stall.gain`` over the
    last ``stall.generations`` generations. While nothing is feasible there is no hypervolume and no early stopping.
    """
    if spec.stall is None:
        return spec.generations
    end = 0
    for count in spec.epoch_generations[:-1]:
        end += count
        before = end - spec.stall.generations
        if before < 1:
            continue
        try:
            then, now = (read_hypervolume(folder.generation_table(generation)) for generation in (before, end))
        except FileNotFoundError:
            break
        if now > 0.0 and now - then <= spec.stall.gain * now:
            return end
    return spec.generations
