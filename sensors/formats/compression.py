"""LZ4 and Zstandard frames of untrusted files, with a bound on what they may grow to."""

from __future__ import annotations

from typing import Any

MAX_BYTES = 2**28
"""The most that one packet may decompress to."""

_LZ4_GROWTH = 255  # the most that the LZ4 block format can expand
NONE, LZ4, LZ4_HIGH, ZSTD, ZSTD_HIGH = range(5)


class DecompressionError(ValueError):
    """A packet is no whole frame, or larger than `MAX_BYTES`."""


class Decompressor:
    """Decompresses packets of one `kind` (the numbers of the AEDAT4 header); keeps its memory from packet to packet."""

    def __init__(self, kind: int) -> None:
        self._kind = kind
        self._lz4: Any = None

    def __call__(self, payload: bytes) -> bytes:
        """The content of a packet. Raises DecompressionError."""
        if self._kind == NONE:
            return payload
        return self._lz4_frame(payload) if self._kind in (LZ4, LZ4_HIGH) else _zstd(payload)

    def _lz4_frame(self, payload: bytes) -> bytes:
        if self._lz4 is None:
            from lz4.frame import LZ4FrameDecompressor

            self._lz4 = LZ4FrameDecompressor()
        decoder, self._lz4 = self._lz4, None  # one that failed is not used again
        limit = min(MAX_BYTES, _LZ4_GROWTH * len(payload) + 64)
        # Each step is allocated whole, so it follows the size of what came.
        step = min(4 * len(payload) + 4096, limit + 1)
        try:
            first: bytes = decoder.decompress(payload, max_length=step)
            if decoder.eof:
                self._lz4 = decoder
                return first
            parts, have = [first], len(first)
            while not decoder.eof:
                parts.append(decoder.decompress(b"", max_length=min(4 * step, limit + 1 - have)))
                have += len(parts[-1])
                if have > limit:
                    raise DecompressionError(f"it grows beyond {limit} bytes")
                if not decoder.eof and not parts[-1]:
                    raise DecompressionError("its LZ4 frame is cut short")
        except (RuntimeError, EOFError) as error:
            raise DecompressionError(f"LZ4: {error}") from None
        self._lz4 = decoder
        return b"".join(parts)


def _zstd(payload: bytes) -> bytes:
    import zstandard

    try:
        parts, have = [], 0
        with zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(payload) as stream:
            while part := stream.read(2**20):
                have += len(part)
                if have > MAX_BYTES:
                    raise DecompressionError(f"it grows beyond {MAX_BYTES} bytes")
                parts.append(part)
        if not have or zstandard.frame_content_size(payload) not in (-1, have):
            raise DecompressionError("its ZSTD frame is cut short")
    except zstandard.ZstdError as error:
        raise DecompressionError(f"ZSTD: {error}") from None
    return parts[0] if len(parts) == 1 else b"".join(parts)
