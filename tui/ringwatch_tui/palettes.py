"""The colours of every theme but the one without any. Four hues each: fault, warn, info, drill; no green.

``vision`` takes its hues from the palette of Okabe and Ito (https://jfly.uni-koeln.de/color/), which people
with any kind of colour vision tell apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DEFAULT: Final = "ringwatch-dark"


@dataclass(frozen=True, slots=True, kw_only=True)
class Colours:
    """The colours of one theme."""

    background: str
    raised: str
    selection: str
    text: str
    strong: str
    dim: str
    cell: str
    edge: str
    fault: str
    warn: str
    info: str
    drill: str
    dark: bool = True


COLOURS: Final[dict[str, Colours]] = {
    DEFAULT: Colours(
        background="#0e1216",
        raised="#171d24",
        selection="#22303f",
        text="#c9d1d9",
        strong="#f0f3f6",
        dim="#7d8896",
        cell="#536b83",
        edge="#33404d",
        fault="#ff6b57",
        warn="#e8a33d",
        info="#6cb2ff",
        drill="#d58bf0",
    ),
    "ringwatch-light": Colours(
        background="#fbfbf9",
        raised="#f0f0ec",
        selection="#d9e6f5",
        text="#2b3138",
        strong="#0b0f14",
        dim="#5f6872",
        cell="#7c92a9",
        edge="#c3c8ce",
        fault="#c3311b",
        warn="#8f5600",
        info="#0a5bb3",
        drill="#8a2fb0",
        dark=False,
    ),
    "ringwatch-contrast": Colours(
        background="#000000",
        raised="#000000",
        selection="#003a75",
        text="#ffffff",
        strong="#ffffff",
        dim="#c8c8c8",
        cell="#a8c4e0",
        edge="#ffffff",
        fault="#ff8a75",
        warn="#ffc21a",
        info="#8fc7ff",
        drill="#ef9fff",
    ),
    "ringwatch-vision": Colours(
        background="#101010",
        raised="#1a1a1a",
        selection="#24384a",
        text="#d6d6d6",
        strong="#ffffff",
        dim="#9a9a9a",
        cell="#5f7f99",
        edge="#454545",
        fault="#f0803c",
        warn="#f0e442",
        info="#56b4e9",
        drill="#d98fbb",
    ),
    "ringwatch-paper": Colours(
        background="#ffffff",
        raised="#ffffff",
        selection="#c9defa",
        text="#000000",
        strong="#000000",
        dim="#3d3d3d",
        cell="#5a6f85",
        edge="#000000",
        fault="#a01800",
        warn="#6b4200",
        info="#003f8a",
        drill="#661a8c",
        dark=False,
    ),
    "ringwatch-night": Colours(
        background="#140d08",
        raised="#1d140d",
        selection="#3a2a1c",
        text="#d9c3a8",
        strong="#f5e3cc",
        dim="#9b8468",
        cell="#7a6248",
        edge="#4a3826",
        fault="#ff7a5c",
        warn="#f0ac4a",
        info="#c0a9e8",
        drill="#e091c8",
    ),
    "ringwatch-slate": Colours(
        background="#20262e",
        raised="#2a323c",
        selection="#3a4a5c",
        text="#d3dae3",
        strong="#f4f7fa",
        dim="#95a1af",
        cell="#6f8aa5",
        edge="#465362",
        fault="#ff8873",
        warn="#eeb35a",
        info="#86c0ff",
        drill="#dea3f3",
    ),
}
MONO: Final = "ringwatch-mono"
THEMES: Final = (*COLOURS, MONO)
