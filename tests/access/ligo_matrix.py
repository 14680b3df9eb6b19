"""A caproto server with a ramped matrix of 2 x 3, as LIGO's front ends have. Run by ``python -m``, with the prefix."""

from __future__ import annotations

import sys
from typing import Any

from caproto.server import PVGroup, pvproperty, run

_PARTS = [(row, column) for row in (1, 2) for column in (1, 2, 3)]


def _elements(kind: str) -> dict[str, Any]:
    return {f"m{kind}_{r}_{c}": pvproperty(name=f"{kind}_{r}_{c}", value=0.0) for r, c in _PARTS}


class _Load(PVGroup):
    tramp = pvproperty(name="_TRAMP", value=0.0)
    load = pvproperty(name="_LOAD_MATRIX", value=0)

    @load.putter
    async def load(self, _instance: Any, _value: Any) -> None:
        """What was set is there at once; nothing needs a ramp here."""
        for r, c in _PARTS:
            await getattr(self, f"m_{r}_{c}").write(getattr(self, f"m_SETTING_{r}_{c}").value)


Matrix = type(_Load)("Matrix", (_Load,), {**_elements(""), **_elements("_SETTING"), **_elements("_RAMPING")})


async def _ready(_async_lib: Any) -> None:
    print("SERVER READY", flush=True)


if __name__ == "__main__":
    run(Matrix(prefix=f"{sys.argv[1]}LSC-MTRX").pvdb, interfaces=["127.0.0.1"], startup_hook=_ready)
