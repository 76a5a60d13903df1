"""Attaches the hook in every Python that ``ringwatch exec`` starts, once torch.distributed is there.

Python imports ``sitecustomize`` from the first entry of PYTHONPATH that has one; this one makes way for
the one that would have been imported without it. Only our two packages are put within reach, by a finder
that knows nothing else, so that no other package of this environment can shadow one of the job's. Nothing
here raises into the job: what fails is said in one line on stderr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec
from types import ModuleType

_HERE = os.path.dirname(os.path.abspath(__file__))
# package=folder that holds it, by ``ringwatch exec``; separated as paths are.
_PACKAGES = dict(
    part.split("=", 1) for part in os.environ.get("RINGWATCH_PACKAGES", "").split(os.pathsep) if "=" in part
)
_WATCHED = ("torch", "torch.distributed")


class OurPackages(MetaPathFinder):
    """Finds our own packages, and nothing else."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where one of our packages lies; its submodules are found by its own path."""
        folder = _PACKAGES.get(fullname)
        return (
            None if folder is None or path is not None else PathFinder.find_spec(fullname, [folder], target)
        )


class TorchWatch(MetaPathFinder):
    """Notices when torch and torch.distributed have been imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return what the other finders say, with a loader that attaches afterwards."""
        if fullname not in _WATCHED:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = AttachingLoader(spec.loader)
                return spec
        return None


class AttachingLoader(Loader):
    """Loads as the real loader does, gives its place back to it, then attaches."""

    def __init__(self, real: Loader) -> None:
        self._real = real

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Make the module as the real loader does."""
        return self._real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, then attach when all that is needed is there."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._real
        module.__loader__ = self._real
        self._real.exec_module(module)
        _attach_when_ready(module)


def _attach_when_ready(just_loaded: ModuleType) -> None:
    torch = sys.modules.get("torch")
    if torch is None or "torch.distributed" not in sys.modules:
        return
    # torch imports torch.distributed while it is itself half imported; then its own end attaches.
    if just_loaded is not torch and getattr(torch.__spec__, "_initializing", False):
        return
    try:
        from ringwatch_agent.hook import attach

        attach()
    except Exception as error:  # noqa: BLE001  a job runs on without telemetry; it is said, once a process
        sys.stderr.write(f"ringwatch: this process is not watched: {type(error).__name__}: {error}\n")


def _make_way() -> None:
    """Import the sitecustomize that would have been imported without this one."""
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != _HERE]
    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None and spec.origin != __file__:
        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


sys.meta_path.insert(0, OurPackages())
sys.meta_path.insert(0, TorchWatch())
_make_way()
