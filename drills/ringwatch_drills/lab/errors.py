"""What goes wrong in the lab itself, as opposed to what the lab makes go wrong."""

from ringwatch_proto.errors import RingwatchError


class LabError(RingwatchError):
    """The lab cannot be built or used; the message is for a person."""
