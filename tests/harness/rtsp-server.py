#!/usr/bin/python3
"""An RTSP camera for tests, on GStreamer's RTSP server.

Reads one JSON object from stdin: {"streams": [{"path", "fps", "codec", "videos", "audio", "auth"}]}, where
`videos` names Annex B files whose access units begin with a delimiter, or files of JPEGs, played in turn, and `audio`
is null or {"codec", "file"}: an ADTS file, or plain samples (see AUDIO).
Prints {"port": N} when it listens. Afterwards each line of stdin is a command:
{"do": "pause" | "resume" | "drop" | "remove" | "restore", "path": P}, answered by {"done": ...}.
It ends when stdin does, so it cannot outlive the test that started it.

What a client sees is a function of the server's clock, as with a real camera: a stream begins at the next
key frame, loops for ever, and two streams of one scene stay in step.
"""
import json
import sys
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

Gst.init(None)
ANYBODY = "anybody"
PAYLOADERS = {
    "h264": "caps=video/x-h264,stream-format=byte-stream,alignment=au ! h264parse ! rtph264pay config-interval=0",
    "h265": "caps=video/x-h265,stream-format=byte-stream,alignment=au ! h265parse ! rtph265pay config-interval=0",
    "mjpeg": "caps=image/jpeg ! jpegparse ! rtpjpegpay",
}
# What becomes of the pieces of an audio file; bytes and seconds of one piece (AAC says itself how long it is).
AUDIO = {
    "aac": ("audio/mpeg,mpegversion=4,stream-format=adts ! aacparse ! rtpmp4gpay name=pay1 pt=97", None, 1024 / 48000),
    "pcm_alaw": ("audio/x-alaw,rate=8000,channels=1 ! rtppcmapay name=pay1 pt=8", 160, 0.02),
    "pcm_mulaw": ("audio/x-mulaw,rate=8000,channels=1 ! rtppcmupay name=pay1 pt=0", 160, 0.02),
    "opus": (
        "audio/x-raw,format=S16LE,layout=interleaved,rate=48000,channels=1 ! opusenc ! rtpopuspay name=pay1 pt=97",
        1920,
        0.02,
    ),
}


def nal_units(stream):
    """(offset of start code, offset of NAL) of each NAL unit."""
    at = stream.find(b"\0\0\1")
    while at >= 0:
        yield (at - 1 if at and stream[at - 1] == 0 else at), at + 3
        at = stream.find(b"\0\0\1", at + 3)


def access_units(stream, codec):
    """[(bytes without the delimiter, is key frame)]"""
    kind = (lambda b: b & 31) if codec == "h264" else (lambda b: (b >> 1) & 63)
    delimiter = 9 if codec == "h264" else 35
    keys = {5} if codec == "h264" else {16, 17, 18, 19, 20, 21}
    nals = list(nal_units(stream)) + [(len(stream), len(stream))]
    units = []
    for (start, nal), (end, _) in zip(nals, nals[1:]):
        if kind(stream[nal]) == delimiter:
            units.append([b"", False])
            continue
        unit = units[-1]
        unit[0] += stream[start:end]
        unit[1] |= kind(stream[nal]) in keys
    return [tuple(unit) for unit in units]


def jpegs(stream):
    starts = [0]
    while (at := stream.find(b"\xff\xd9\xff\xd8", starts[-1])) >= 0:
        starts.append(at + 2)
    return [(stream[start:end], True) for start, end in zip(starts, starts[1:] + [len(stream)])]


def pieces(stream, size):
    """`size` None: frames of ADTS."""
    if size is None:
        return adts_frames(stream)
    return [(stream[at : at + size], True) for at in range(0, len(stream) - size + 1, size)]


def adts_frames(stream):
    frames, at = [], 0
    while at + 7 <= len(stream):
        size = ((stream[at + 3] & 3) << 11) | (stream[at + 4] << 3) | (stream[at + 5] >> 5)
        frames.append((stream[at : at + size], True))
        at += size
    return frames


class Track:
    """Pushes access units into one appsrc, each at its time on the server's clock."""

    def __init__(self, stream, source, units, interval):
        self.stream, self.source, self.units, self.interval = stream, source, units, interval
        self.index = int((time.monotonic() - EPOCH) / interval) + 1
        while not units[self.index % len(units)][1]:
            self.index += 1
        self.first = self.index
        self.start = None
        self.timer = GLib.timeout_add(self.delay_ms(), self.push)

    def delay_ms(self):
        return max(0, int((EPOCH + self.index * self.interval - time.monotonic()) * 1000))

    def push(self):
        if self.start is None:
            clock = self.source.get_clock()
            self.start = clock.get_time() - self.source.get_base_time() if clock else 0
        if not self.stream.paused:
            buffer = Gst.Buffer.new_wrapped(self.units[self.index % len(self.units)][0])
            buffer.pts = self.start + int((self.index - self.first) * self.interval * Gst.SECOND)
            buffer.duration = int(self.interval * Gst.SECOND)
            self.source.emit("push-buffer", buffer)
        self.index += 1
        self.timer = GLib.timeout_add(self.delay_ms(), self.push)
        return GLib.SOURCE_REMOVE

    def stop(self):
        GLib.source_remove(self.timer)


class Stream(GstRtspServer.RTSPMediaFactory):
    def __init__(self, spec):
        super().__init__()
        self.path, self.paused = spec["path"], False
        codec = spec["codec"]
        self.video = []
        for name in spec["videos"]:
            with open(name, "rb") as file:
                self.video += jpegs(file.read()) if codec == "mjpeg" else access_units(file.read(), codec)
        self.interval = 1 / spec["fps"]
        self.audio = None
        pt = 26 if codec == "mjpeg" else 96
        launch = f"appsrc name=video is-live=true format=time {PAYLOADERS[codec]} name=pay0 pt={pt}"
        if spec["audio"]:
            caps, size, self.audio_interval = AUDIO[spec["audio"]["codec"]]
            with open(spec["audio"]["file"], "rb") as file:
                self.audio = pieces(file.read(), size)
            launch += f" appsrc name=audio is-live=true format=time caps={caps}"
        self.set_launch(f"( {launch} )")
        self.set_protocols(GstRtsp.RTSPLowerTrans.TCP | GstRtsp.RTSPLowerTrans.UDP)
        self.allow(spec["auth"]["user"] if spec["auth"] else ANYBODY)
        self.connect("media-configure", self.configure)

    def allow(self, role):
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role(role, "media.factory.access", True)
        permissions.add_permission_for_role(role, "media.factory.construct", True)
        if role != ANYBODY:  # visible, so that strangers are told 401 and not 404
            permissions.add_permission_for_role(ANYBODY, "media.factory.access", False)
        self.set_permissions(permissions)

    def configure(self, _factory, media):
        bin_ = media.get_element()
        tracks = []

        def begin(source, _length):
            if source in begun:
                return
            begun.add(source)
            if source.get_name() == "video":
                tracks.append(Track(self, source, self.video, self.interval))
            else:
                tracks.append(Track(self, source, self.audio, self.audio_interval))

        begun = set()
        for name in ("video", "audio"):
            source = bin_.get_by_name_recurse_up(name)
            if source:
                source.connect("need-data", lambda s, n: GLib.idle_add(begin, s, n) and None)
        media.connect("unprepared", lambda _media: [track.stop() for track in tracks])


def close_clients(server, path):
    for client in server.client_filter(lambda *_: GstRtspServer.RTSPFilterResult.REF):
        for session in client.session_filter(lambda *_: GstRtspServer.RTSPFilterResult.REF):
            if session.get_media(path)[0]:
                client.close()
                break


def require_login(server, specs):
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", ANYBODY)
    # With a token for everybody a stranger meets 404; without one, the 401 that cameras answer.
    if not any(spec["auth"] for spec in specs):
        auth.set_default_token(token)
    for spec in specs:
        if spec["auth"]:
            user, password = spec["auth"]["user"], spec["auth"]["password"]
            token = GstRtspServer.RTSPToken()
            token.set_string("media.factory.role", user)
            if spec["auth"].get("basic"):
                auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
                auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
            else:
                auth.add_digest(user, password, token)
    server.set_auth(auth)


def main():
    specs = json.loads(sys.stdin.readline())["streams"]
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    require_login(server, specs)
    mounts = server.get_mount_points()
    streams = {spec["path"]: Stream(spec) for spec in specs}
    for path, stream in streams.items():
        mounts.add_factory(path, stream)
    if server.attach(None) == 0:
        sys.exit("cannot listen")
    loop = GLib.MainLoop()

    def obey(channel, _condition):
        line = channel.readline()
        if not line:
            loop.quit()
            return GLib.SOURCE_REMOVE
        command = json.loads(line)
        do, path = command["do"], command["path"]
        stream = streams[path]
        if do == "pause":
            stream.paused = True
        elif do == "resume":
            stream.paused = False
        elif do == "drop":
            close_clients(server, path)
        elif do == "remove":
            mounts.remove_factory(path)
            close_clients(server, path)
        elif do == "restore":
            streams[path] = Stream(next(spec for spec in specs if spec["path"] == path))
            mounts.add_factory(path, streams[path])
        print(json.dumps({"done": command}), flush=True)
        return GLib.SOURCE_CONTINUE

    GLib.io_add_watch(sys.stdin, GLib.IO_IN | GLib.IO_HUP, obey)
    print(json.dumps({"port": server.get_bound_port()}), flush=True)
    loop.run()


EPOCH = time.monotonic()
main()
