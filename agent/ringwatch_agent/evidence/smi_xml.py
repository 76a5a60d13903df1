"""Reads nvidia-smi -q -x. Entities and document types are never resolved."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from ringwatch_agent.evidence import gpu_names
from ringwatch_knowledge import kernel_log
from ringwatch_knowledge.observation import Observation

# One tag a line is what nvidia-smi prints; reading it so keeps the line for the quote, and a torn
# document is read as far as it goes.
_LEAF: Final = re.compile(r"<(?P<tag>[\w.-]+)(?:\s[^>]*)?>(?P<value>[^<]*)</(?P=tag)>")
_OPEN: Final = re.compile(r"<(?P<tag>[A-Za-z_][\w.-]*)(?:\s+id=\"(?P<id>[^\"]*)\")?[^>/]*>")
_CLOSE: Final = re.compile(r"</(?P<tag>[\w.-]+)>")
_DEEPEST: Final = 32


class SmiXmlReader:
    """Reads the GPU readings of one log."""

    kind = "nvidia-smi -q -x"

    def recognises(self, head: bytes) -> bool:
        """Say whether this is an nvidia-smi log in XML."""
        return b"<nvidia_smi_log" in head

    def read(self, file: str, data: bytes) -> Iterator[Observation]:
        """Yield every reading that somebody judges, with its GPU."""
        path: list[str] = []
        device = ""
        for number, raw in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
            leaf = _LEAF.search(raw)
            if leaf:
                name = gpu_names.of_path("/".join([*path, leaf["tag"]]).lower())
                if name:
                    yield _reading(file, number, raw, name=name, word=leaf["value"].strip(), device=device)
                continue
            closed = _CLOSE.search(raw)
            if closed:
                if closed["tag"] in path:
                    del path[path.index(closed["tag"]) :]
                continue
            opened = _OPEN.search(raw)
            if opened and len(path) < _DEEPEST:
                path.append(opened["tag"])
                if opened["tag"] == "gpu":
                    path = [path[0], "gpu"]
                    device = kernel_log.pci_address(opened["id"] or "") or opened["id"] or ""


def _reading(file: str, number: int, raw: str, *, name: str, word: str, device: str) -> Observation:
    return Observation(
        kind="gpu",
        name=name,
        text=raw.strip(),
        file=file,
        line=number,
        value=gpu_names.number(word),
        word=word,
        device=device,
    )
