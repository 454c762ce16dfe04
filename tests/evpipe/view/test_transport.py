"""Keys that steer a replay: what the window asks of the run, and what it shows of how the run plays."""

from __future__ import annotations

from evpipe.operator import Transport


def asked(rig) -> list[dict]:
    taken, rig.context.asked = rig.context.asked, []
    return taken


def test_space_pauses_and_plays_a_replay(open_window, make) -> None:
    """The graph itself stands still; the state says so, and the picture stays."""
    from PySide6.QtCore import Qt

    rig = open_window(clock="replay")
    rig.op.on_events(make.block(0))
    rig.press(Qt.Key.Key_Space)
    assert asked(rig) == [{"verb": "pause"}]
    rig.context.plays = Transport(paused=True, position_us=10_000, can_seek=True)
    rig.settle()
    assert rig.window.top_bar.state == "PAUSED"
    rig.press(Qt.Key.Key_Space)
    assert asked(rig) == [{"verb": "resume"}]


def test_jumps_seek_and_a_paused_run_shows_the_picture_there(open_window, make) -> None:
    """While it plays a seek is enough; paused, the time that fills a picture is played up to the place."""
    from PySide6.QtCore import Qt

    rig = open_window(clock="replay", accumulate_us=50_000)
    rig.context.plays = Transport(position_us=2_000_000, can_seek=True)
    rig.press(Qt.Key.Key_Right)
    rig.press(Qt.Key.Key_Left, shift=True)
    rig.press(Qt.Key.Key_Home)
    assert [one["t_us"] for one in asked(rig)] == [2_100_000, 1_000_000, 0]
    rig.context.plays = Transport(paused=True, position_us=2_000_000, can_seek=True)
    rig.press(Qt.Key.Key_Right)
    assert asked(rig) == [{"verb": "seek", "t_us": 2_050_000}, {"verb": "step", "time_us": 50_000}]
    rig.press(Qt.Key.Key_Period)
    assert asked(rig) == [{"verb": "step", "time_us": 20_000}]
    rig.press(Qt.Key.Key_Comma)
    assert asked(rig) == [{"verb": "seek", "t_us": 1_930_000}, {"verb": "step", "time_us": 50_000}]


def test_a_camera_cannot_be_sought(open_window) -> None:
    """The toast says so, and nothing is asked."""
    from PySide6.QtCore import Qt

    rig = open_window(clock="replay")
    rig.press(Qt.Key.Key_Right)
    assert asked(rig) == []
    assert rig.window.toast.text == "only recordings can be sought"


def test_speed_and_range(open_window, make) -> None:
    """Brackets go along the ladder of speeds; I and O mark a range that repeats until R."""
    from PySide6.QtCore import Qt

    rig = open_window(clock="replay")
    rig.op.on_events(make.block(0))
    rig.press(Qt.Key.Key_BracketRight)
    rig.press(Qt.Key.Key_BracketLeft)
    assert [one["rate"] for one in asked(rig)] == [2.0, 0.5]
    rig.context.plays = Transport(rate=0.1, position_us=1_000_000, can_seek=True)
    rig.press(Qt.Key.Key_I)
    rig.press(Qt.Key.Key_O)
    assert asked(rig) == []
    rig.context.plays = Transport(rate=0.1, position_us=3_000_000, can_seek=True)
    rig.press(Qt.Key.Key_O)
    assert asked(rig) == [
        {"verb": "mark", "start_us": 1_000_000, "stop_us": 3_000_000},
        {"verb": "loop", "on": True},
    ]
    rig.context.plays = Transport(rate=0.1, looping=True, position_us=3_000_000, can_seek=True)
    rig.settle()
    assert rig.window.top_bar.state == "REPLAY"
    assert rig.window.top_bar.subject == "1/10x  ·  repeats"
    rig.press(Qt.Key.Key_R)
    assert asked(rig) == [{"verb": "loop", "on": False}, {"verb": "mark"}]
