"""When gradients and values travel, chosen by hand or by trying."""

from dataclasses import dataclass
from typing import Literal

from services.training.engine.ps.partition import ALIGNMENT

KIB = 1024


@dataclass(frozen=True)
class Schedule:
    """How a step's communication is laid over its computation.

    Args:
        kind: "end" sends after the whole backward pass; "wfbp" sends each layer's gradient as soon
            as it exists, and the next forward pass waits for all values; "prio" waits layer by
            layer, and lower layers, which are needed first, overtake higher ones, also in the
            computation of their gradients where that can be divided.
        piece_bytes: What travels, and is updated, at once.
    """

    kind: Literal["end", "wfbp", "prio"] = "prio"
    piece_bytes: int = 256 * KIB

    def piece(self, item_bytes: int) -> int:
        """Numbers in a piece, a multiple of what segments are aligned to."""
        return max(self.piece_bytes // item_bytes // ALIGNMENT, 1) * ALIGNMENT

    def priority(self, vector: int) -> int:
        """Rank of a vector's pieces among what waits to be sent; the lowest goes first."""
        # 0 is for control messages.
        return 1 + vector if self.kind == "prio" else 1
