"""The gRPC server of a collector: its limits, whatever it serves. It serves nothing by itself."""

from __future__ import annotations

from typing import Final

import grpc
import grpc.aio

from ringwatch_collector.config import CollectorConfig

_MOST_SENT_BYTES: Final = 64 << 20


def new_server(config: CollectorConfig, guard: grpc.aio.ServerInterceptor) -> grpc.aio.Server:
    """Return a server behind a guard, without services and ports."""
    return grpc.aio.server(
        interceptors=[guard],
        options=[
            ("grpc.max_receive_message_length", config.max_message_mib << 20),
            ("grpc.max_send_message_length", _MOST_SENT_BYTES),
            ("grpc.so_reuseport", 0),
            # A whole fleet may dial again at once; the default of 1000 cancels the rest of it.
            ("grpc.server.max_pending_requests", config.most_nodes),
            ("grpc.server.max_pending_requests_hard_limit", 2 * config.most_nodes),
            ("grpc.keepalive_time_ms", 20_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
            ("grpc.keepalive_permit_without_calls", 1),
            # Connections that never finish a handshake, or finish it and ask nothing.
            ("grpc.server_handshake_timeout_ms", int(config.access.handshake_s * 1000)),
            ("grpc.max_connection_idle_ms", 300_000),
        ],
    )
