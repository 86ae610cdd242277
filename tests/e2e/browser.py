"""A person at JupyterLab: Chromium without a screen opens a notebook, runs cells and presses buttons."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import ActionChains, Chrome, ChromeOptions, ChromeService, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from playground.build import packages
from tests.e2e.look import eventually

T = TypeVar("T")
SIZE = (1100, 1900)
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # Chromium has none for root
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--hide-scrollbars",
    # Nothing but this machine is asked for anything.
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--no-proxy-server",
    f"--window-size={SIZE[0]},{SIZE[1]}",
)


@contextmanager
def chromium() -> Iterator[Chrome]:
    """Debian's Chromium, which is installed where it is missing; its profile goes with it."""
    browser, driver = packages.need(*packages.BROWSER)
    options = ChromeOptions()
    options.binary_location = browser
    for flag in FLAGS:
        options.add_argument(flag)
    running = Chrome(options, ChromeService(driver))
    try:
        yield running
    finally:
        running.quit()


@contextmanager
def jupyterlab(url: str, notebook: str) -> Iterator["Lab"]:
    """`notebook`, opened in the JupyterLab of this URL; the kernel that it starts ends with it."""
    before = _kernels(url)
    with chromium() as browser:
        try:
            yield Lab(browser, url, notebook)
        finally:
            for kernel in _kernels(url) - before:
                _ask(url, "DELETE", f"kernels/{kernel}")


def write_notebook(url: str, name: str, cells: list[str]) -> None:
    """Put a notebook of these cells of code beside the examples."""
    made = [
        {"cell_type": "code", "id": f"cell-{number}", "metadata": {}, "outputs": [], "source": cell}
        | {"execution_count": None}
        for number, cell in enumerate(cells)
    ]
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
    content = {"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    _ask(url, "PUT", f"contents/{name}", {"type": "notebook", "content": content})


def delete_notebook(url: str, name: str) -> None:
    """Take it away again."""
    _ask(url, "DELETE", f"contents/{name}")


def _kernels(url: str) -> set[str]:
    return {kernel["id"] for kernel in json.loads(_ask(url, "GET", "kernels"))}


def _ask(url: str, method: str, path: str, body: Any = None) -> str:
    start, _, token = url.partition("/lab?token=")
    request = urllib.request.Request(  # noqa: S310 (http, to the playground)
        f"{start}/api/{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"token {token}"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return str(answer.read().decode())


class Lab:
    """A notebook that is open in JupyterLab; its cells are counted from 0, texts too."""

    def __init__(self, browser: Chrome, url: str, notebook: str) -> None:
        self.browser = browser
        browser.get(f"{url.replace('/lab?', f'/lab/tree/{notebook}?')}&reset")
        self.one(".jp-Notebook .jp-CodeCell", within=90)
        self.one(".jp-StatusBar-Widget", "| Idle", within=90)

    def all(self, selector: str) -> list[WebElement]:
        """What is there and can be seen."""
        return [each for each in self.browser.find_elements(By.CSS_SELECTOR, selector) if each.is_displayed()]

    def one(self, selector: str, text: str = "", within: float = 20) -> WebElement:
        """The first such element in which `text` stands."""

        def found() -> list[WebElement]:
            return [each for each in self.all(selector) if text in each.text]

        return self.eventually(found, within, f"{selector} with {text!r}")[0]

    def eventually(self, ask: Callable[[], T], within: float, what: str) -> T:
        """As `look.eventually`; what the page has just replaced is asked for again."""

        def patient() -> T | None:
            try:
                return ask()
            except StaleElementReferenceException:
                return None

        answer = eventually(patient, within, what)
        assert answer is not None
        return answer

    def run(self, cell: int, within: float = 120) -> str:
        """Run a cell as its reader would, and wait for its end; what stands below it then."""
        area = self._cell(cell).find_element(By.CSS_SELECTOR, ".jp-InputArea-editor .cm-content")
        self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", area)
        area.click()
        ActionChains(self.browser).key_down(Keys.SHIFT).send_keys(Keys.ENTER).key_up(Keys.SHIFT).perform()
        self.eventually(lambda: self._number(cell).isdigit(), within, f"cell {cell} has run")
        return self.output(cell)

    def output(self, cell: int) -> str:
        """What stands below a cell."""
        found = self._cell(cell).find_elements(By.CSS_SELECTOR, ".jp-Cell-outputWrapper")
        return "\n".join(each.text for each in found)

    def _number(self, cell: int) -> str:
        """What stands in the brackets before a cell: `*` while it runs, then its number."""
        return self._cell(cell).find_element(By.CSS_SELECTOR, ".jp-InputPrompt").text.strip("[]: \n")

    def _cell(self, number: int) -> WebElement:
        return self.browser.find_elements(By.CSS_SELECTOR, ".jp-Notebook .jp-Cell")[number]

    def press(self, button: str) -> None:
        """Click a button of the widget by what stands on it."""
        self.one("button.jupyter-button", button).click()

    def unfold(self, title: str) -> None:
        """Open a part of the widget that is folded."""
        self.one(".jupyter-widget-Collapse-header", title).click()

    def type(self, label: str, value: int) -> None:
        """Type a number into the widget's field with this label, as its value."""
        field = self.one(".jupyter-widgets.widget-text", label).find_element(By.CSS_SELECTOR, "input")
        field.click()
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(str(value), Keys.TAB)

    def picture(self, element: WebElement, file: Path) -> None:
        """A PNG of one element."""
        file.write_bytes(element.screenshot_as_png)
