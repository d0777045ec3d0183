"""The ``evidence`` of a study file: the size of the tests of its champion against luck."""

from pydantic import Field

from forge_core.evolution.spec.objectives import Spec

MINIMUM_LUCK = 19
"""Fewer searches cannot reach 5 %: the p-value of K searches is at least 1 / (K + 1)."""


class EvidenceSpec(Spec):
    """``luck``: searches in mirrored markets; ``windows``: walk-forward windows. 0 skips a part.

    It is not part of the manifest, so evidence can be added to a finished study.
    """

    luck: int = Field(default=MINIMUM_LUCK, ge=0, le=999)
    windows: int = Field(default=5, ge=0, le=50)
    rolling: bool = False  # train on one block, instead of on all from the beginning
