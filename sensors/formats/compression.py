"""LZ4 and Zstandard frames of untrusted files, with a bound on what they may grow to."""

from __future__ import annotations

MAX_BYTES = 2**28
"""The most that one packet may decompress to."""

_LZ4_GROWTH = 255  # the most that the LZ4 block format can expand
NONE, LZ4, LZ4_HIGH, ZSTD, ZSTD_HIGH = range(5)


class DecompressionError(ValueError):
    """A packet is no whole frame, or larger than `MAX_BYTES`."""


def decompress(kind: int, payload: bytes) -> bytes:
    """The content of a packet compressed as `kind` (the numbers of the AEDAT4 header)."""
    if kind == NONE:
        return payload
    return _lz4(payload) if kind in (LZ4, LZ4_HIGH) else _zstd(payload)


def _lz4(payload: bytes) -> bytes:
    import lz4.frame

    decoder = lz4.frame.LZ4FrameDecompressor()
    limit = min(MAX_BYTES, _LZ4_GROWTH * len(payload) + 64)
    parts, have = [], 0
    data = payload
    try:
        while not decoder.eof:
            # The step is allocated whole, so it follows the size of what came.
            parts.append(decoder.decompress(data, max_length=min(4 * len(payload) + 2**16, limit + 1 - have)))
            have += len(parts[-1])
            data = b""
            if have > limit:
                raise DecompressionError(f"it grows beyond {limit} bytes")
            if not decoder.eof and not parts[-1]:
                raise DecompressionError("its LZ4 frame is cut short")
    except (RuntimeError, EOFError) as error:
        raise DecompressionError(f"LZ4: {error}") from None
    return parts[0] if len(parts) == 1 else b"".join(parts)


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
