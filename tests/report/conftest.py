"""A headless Chromium, driven through a pipe: no driver, no port, no library."""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from vae_jax.report.section import Item

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",  # tests often run as root in a container
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--remote-debugging-pipe",
)
PATIENCE_SECONDS = 60


class Browser:
    """Speaks the DevTools protocol: JSON, each message ended by a zero byte."""

    def __init__(self, program: str, profile: Path):
        from_us, self._out = os.pipe()
        self._in, to_us = os.pipe()
        # Chromium reads its commands from descriptor 3 and answers on 4.
        command = f'exec "$0" "$@" 3<&{from_us} 4>&{to_us}'
        arguments = [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        with (profile.parent / "chromium.log").open("wb") as log:
            self.process = subprocess.Popen(
                ["bash", "-c", command, *arguments],
                pass_fds=(from_us, to_us),
                stdout=log,
                stderr=log,
                env=os.environ | {"HOME": str(profile)},
            )
        os.close(from_us)
        os.close(to_us)
        self._received = b""
        self._count = 0
        self.events: list[dict] = []

    def send(self, method: str, session: str | None = None, **parameters):
        """The result of a command; events that come first are kept."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._count:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self.events.append(answer)

    def _receive(self) -> dict:
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._in], [], [], PATIENCE_SECONDS)
            assert ready, "Chromium does not answer"
            chunk = os.read(self._in, 1 << 20)
            assert chunk, "Chromium has ended"
            self._received += chunk
        message, _, self._received = self._received.partition(b"\0")
        return json.loads(message)

    def close(self) -> None:
        with contextlib.suppress(AssertionError, OSError):
            self.send("Browser.close")
        self.process.wait(PATIENCE_SECONDS)
        os.close(self._in)
        os.close(self._out)


class Page:
    """One tab."""

    def __init__(self, browser: Browser, *, width: int, height: int, **emulation):
        self._browser = browser
        created = browser.send("Target.createTarget", url="about:blank")
        self._target = created["targetId"]
        attached = browser.send(
            "Target.attachToTarget", targetId=self._target, flatten=True
        )
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=emulation.get("scale", 1),
            mobile=emulation.get("mobile", False),
        )
        if emulation.get("mobile"):
            self.send("Emulation.setTouchEmulationEnabled", enabled=True)
        self.send("Page.bringToFront")  # else nothing is drawn
        scheme = {"name": "prefers-color-scheme", "value": emulation.get("scheme", "")}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def close(self) -> None:
        self._browser.send("Target.closeTarget", targetId=self._target)

    def send(self, method: str, **parameters):
        return self._browser.send(method, self._session, **parameters)

    def open(self, address: str, *, with_script: bool = True) -> None:
        self.send("Emulation.setScriptExecutionDisabled", value=not with_script)
        self.send("Page.navigate", url=address)
        if with_script:
            self.wait_for("document.readyState === 'complete'")
        else:
            time.sleep(1.0)

    def run(self, expression: str):
        """The value of a JavaScript expression; promises are waited for."""
        answer = self.send(
            "Runtime.evaluate",
            expression=expression,
            awaitPromise=True,
            returnByValue=True,
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, expression: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.run(expression):
            assert time.monotonic() < deadline, f"never true: {expression}"
            time.sleep(0.02)

    def draw(self) -> None:
        """Waits until what is asked for now has been drawn."""
        self.run("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")

    def show(self, selector: str) -> tuple[float, float]:
        """Scrolls an element into the window; returns its middle."""
        return self.run(
            f"(() => {{ const e = document.querySelector({selector!r});"
            "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )

    def slide(self, selector: str, value: int) -> None:
        """Moves a slider as a drag does: its value, then the event."""
        self.run(
            f"(() => {{ const s = document.querySelector({selector!r});"
            f"s.value = {value}; s.dispatchEvent(new Event('input')); }})()"
        )

    def click(self, selector: str) -> None:
        """A click of the mouse in the middle of an element."""
        x, y = self.show(selector)
        at = {"x": x, "y": y, "button": "left", "clickCount": 1}
        self.send("Input.dispatchMouseEvent", type="mousePressed", **at)
        self.send("Input.dispatchMouseEvent", type="mouseReleased", **at)

    def tap(self, selector: str) -> None:
        """A touch in the middle of an element."""
        x, y = self.show(selector)
        touch = "Input.dispatchTouchEvent"
        self.send(touch, type="touchStart", touchPoints=[{"x": x, "y": y}])
        self.send(touch, type="touchEnd", touchPoints=[])

    def choose(self, selector: str, value: str) -> None:
        """An option of a select element."""
        self.run(
            f"(() => {{ const s = document.querySelector({selector!r});"
            f"s.value = {value!r}; s.dispatchEvent(new Event('change')); }})()"
        )

    def press(self, key: str, code: int, text: str = "") -> None:
        """A key, by its name and its Windows virtual key code."""
        pressed = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        if text:
            pressed["text"] = text
        self.send("Input.dispatchKeyEvent", type="keyDown", **pressed)
        self.send("Input.dispatchKeyEvent", type="keyUp", **pressed)

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        shot = self.send("Page.captureScreenshot", captureBeyondViewport=whole)
        Path(path).write_bytes(base64.b64decode(shot["data"]))

    def events(self, method: str) -> list[dict]:
        """What has been reported of this page."""
        return [
            event["params"]
            for event in self._browser.events
            if event.get("method") == method and event.get("sessionId") == self._session
        ]

    def troubles(self) -> list[str]:
        """Errors and warnings on the console, exceptions, refused requests."""
        calls = self.events("Runtime.consoleAPICalled")
        entries = (event["entry"] for event in self.events("Log.entryAdded"))
        return [
            *(str(c["args"]) for c in calls if c["type"] in ("error", "warning")),
            *(e["text"] for e in entries if e["level"] in ("error", "warning")),
            *(str(e) for e in self.events("Runtime.exceptionThrown")),
        ]

    def requests(self) -> list[str]:
        """The addresses asked for, the page's own included."""
        return [e["request"]["url"] for e in self.events("Network.requestWillBeSent")]


def random_item(index: int, kind: str, *, shape=(24, 32), **changes) -> Item:
    """An image whose map is high in and around its defect, and noisy."""
    rng = np.random.default_rng(index)
    mask = np.zeros(shape, bool)
    if kind != "good":
        row, column = rng.integers(2, min(shape) - 8, 2)
        mask[row : row + 6, column : column + 5] = True
    values = rng.gamma(2.0, 0.5, shape) + rng.uniform(0.5, 4.0) * mask
    fields = {
        "name": f"test/{kind}/{index:03}.png",
        "kind": kind,
        "image": rng.integers(0, 256, (*shape, 3), dtype=np.uint8),
        "map": values.astype(np.float32),
        "score": float(values.max()),
        "mask": mask,
    }
    return Item(**fields | changes)


@pytest.fixture(scope="session")
def make_items():
    """`make_items(good=, scratch=, ...)`: so many items of each kind, all different."""

    def make_items(shape=(24, 32), **counts: int) -> list[Item]:
        kinds = [kind for kind, count in counts.items() for _ in range(count)]
        return [random_item(i, kind, shape=shape) for i, kind in enumerate(kinds)]

    return make_items


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"needs one of {', '.join(NAMES)}; Debian: apt install chromium")
    profile = tmp_path_factory.mktemp("chromium") / "profile"
    profile.mkdir()
    browser = Browser(program, profile)
    yield browser
    browser.close()


@pytest.fixture
def open_page(browser):
    """`open_page(path, width=, height=, mobile=, scheme=, scale=)` -> `Page`."""

    def open_page(path: Path, *, width=1280, height=900, with_script=True, **emulation):
        page = Page(browser, width=width, height=height, **emulation)
        page.open(path.resolve().as_uri(), with_script=with_script)
        return page

    return open_page
