"""Asks the kubelet which container has which GPU, over its pod-resources socket. Changes nothing.

gRPC and its messages are loaded when there is a socket, and not before.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from ringwatch_proto.errors import SourceError

if TYPE_CHECKING:
    from ringwatch_agent.kubelet.podresources_pb2 import ListPodResourcesResponse

_METHOD: Final = "/v1.PodResourcesLister/List"
_WITHIN_S: Final = 3.0
# What the kubelet's own client allows: 16 MiB.
_MOST_BYTES: Final = 16 << 20
_GPU: Final = re.compile(r"(?:GPU|MIG)-[0-9a-fA-F/-]{8,80}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PodDevice:
    """One GPU that a container was given; ``device`` is a UUID, or the minor number as text."""

    device: str
    pod: str
    container: str


class PodDevices:
    """One channel to the kubelet, opened when first asked."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._channel: Any = None  # a grpc.Channel; grpc has no types

    def list(self) -> list[PodDevice] | None:
        """Return what containers were given, None on a node without a kubelet.

        Raises SourceError when the kubelet does not answer.
        """
        if not _is_socket(self._socket):
            self.close()
            return None
        import grpc

        from ringwatch_agent.kubelet import podresources_pb2 as messages

        if self._channel is None:
            options = [("grpc.max_receive_message_length", _MOST_BYTES), ("grpc.enable_http_proxy", 0)]
            self._channel = grpc.insecure_channel(f"unix:{self._socket}", options=options)
        ask = self._channel.unary_unary(
            _METHOD,
            request_serializer=messages.ListPodResourcesRequest.SerializeToString,
            response_deserializer=messages.ListPodResourcesResponse.FromString,
        )
        try:
            answer = ask(messages.ListPodResourcesRequest(), timeout=_WITHIN_S, wait_for_ready=True)
        except grpc.RpcError as error:
            self.close()
            raise SourceError(
                f"the kubelet does not answer on {self._socket}: {error.code().name}"
            ) from error
        return list(_devices(cast("ListPodResourcesResponse", answer)))

    def close(self) -> None:
        """Let go of the channel."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False


def _devices(answer: ListPodResourcesResponse) -> Iterator[PodDevice]:
    for pod in answer.pod_resources:
        for container in pod.containers:
            for given in container.devices:
                if not given.resource_name.startswith("nvidia.com/"):
                    continue
                for device in given.device_ids:
                    # Time slicing hands one GPU out several times: "GPU-...::2".
                    name = device.partition("::")[0]
                    if _GPU.fullmatch(name) or name.isdecimal():
                        yield PodDevice(
                            device=name,
                            pod=_text(f"{pod.namespace}/{pod.name}"),
                            container=_text(container.name),
                        )


def _text(name: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in name[:128])
