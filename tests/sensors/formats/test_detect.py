"""What a file is, is told by its content; what cannot be read is refused with a remedy."""

import pytest

from evpipe.errors import InputError
from sensors.formats.detect import open_reader


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.raw", b"", "empty"),
        ("a.raw", b"Hello, this is a text file named like a recording.\n", "begins with text"),
        ("a.raw", bytes(range(200)), "encoding: evt2, evt21, evt3 or evt4, and size"),
        ("a.dat", b"% Data file containing CD events\n% Version 2\n", "ends with its header"),
        ("a.aedat", b"#!AER-DAT3.1\r\n" + bytes(40), "AEDAT 3"),
        ("a.es", b"Event Stream\x02\0\0\x03" + bytes(4), "type 3"),
        ("a.es", b"Event Stream\x02\0", "type -1"),
        ("a.raw", b"% format HISTO3D;width=320;height=320\n% end\n" + bytes(8), "HISTO3D"),
        ("a.raw", b"% evt 5\n% geometry 320x320\n% end\n" + bytes(8), "EVT 5"),
        ("a.raw", b"% date 2020\n% end\n" + bytes(8), "says nothing"),
        ("a.raw", b"% evt 3.0\n% end\n" + bytes(8), "Give size"),
        ("a.raw", b"% format EVT3;width=3\xb36;height=9\n% end\n" + bytes(8), "Give size"),
        ("a.raw", b"% format EVT3;width=999999999999999999999;height=9\n% end\n" + bytes(8), "Give size"),
        ("a.raw", b"% evt 3.0\n% geometry 0x0\n% end\n" + bytes(8), "Give size"),
        ("a.raw", b"% system_ID \xb3\n% end\n" + bytes(8), "says nothing"),
        ("a.raw", b"% format EVT3;width=640;height=480\n% geometry 1280x720\n% end\n", "contradicts"),
        ("a.bin", bytes(50), "no format that evpipe knows"),
    ],
)
def test_refused_with_reason(name, content, said, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        open_reader(str(path))
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 3


def test_missing_file_and_folder(tmp_path):
    (tmp_path / "recording.raw").write_bytes(b"x")
    with pytest.raises(InputError, match=r"did you mean .*recording\.raw"):
        open_reader(str(tmp_path / "recordin.raw"))
    with pytest.raises(InputError, match="folder"):
        open_reader(str(tmp_path))
    with pytest.raises(InputError, match="no ordinary file"):
        open_reader("/dev/null")


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("% format EVT3;height=480;width=640\n% end\n", ("EVT3", 640, 480)),
        ("% format evt2.0\n% geometry 320x240\n% end\n", ("EVT2", 320, 240)),
        ("% evt 2.0\n% system_ID 21\n", ("EVT2", 640, 480)),
        ("% system_ID 49\n% end\n", ("EVT3", 1280, 720)),
        ("% evt   3.0\r\n% geometry 10x10\n%  geometry   1280x720\n% end\n", ("EVT3", 1280, 720)),
    ],
)
def test_header_keys(header, expected, tmp_path):
    path = tmp_path / "no_ending"
    path.write_bytes(header.encode() + b"\x01\x80\x00\x60")
    reader = open_reader(str(path))
    assert (reader.format, reader.width, reader.height) == expected
    reader.close()


def test_content_wins_over_the_name(shared, tmp_path):
    path = tmp_path / "a.aedat4"
    path.symlink_to(shared / "data/faery_sdist/dvs.es")
    reader = open_reader(str(path))
    assert reader.format == "ES-DVS"
    reader.close()


def test_bytes_without_a_header_are_read_as_told(tmp_path, read_whole):
    """`size` is [height, width]; the payload may begin with the bytes of a header line only after `% end`."""
    path = tmp_path / "a.raw"
    path.write_bytes(bytes.fromhex("0180 0160 3200 2520"))
    found = read_whole(path, size=(720, 1280), encoding="evt3")
    assert found.rows == [(4097, 0x25, 50, 0)]
    path.write_bytes(b"% evt 3.0\n% geometry 1280x720\n% end\n" + bytes.fromhex("2520 0180 3200 2520"))
    assert read_whole(path).rows == [(4096, 0x25, 50, 0)]
