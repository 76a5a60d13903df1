"""What every part of Ringwatch agrees on: wire messages, records, signals, layouts, errors.

Importing this package loads nothing but the standard library. The generated modules under
``ringwatch_proto.v1`` need protobuf and grpcio; ``layout``, ``ring``, ``signals``, ``events``,
``verbs``, ``records`` and ``errors`` need nothing, so that a training job can use them.
"""

WIRE_VERSION = 1
__version__ = "0.1.0"
