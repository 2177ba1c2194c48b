"""The pages of playgrounds in headless Chromium."""

import asyncio

import pytest
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import (
    text_to_be_present_in_element,
)
from selenium.webdriver.support.wait import WebDriverWait

from tests.services.dashboard.conftest import Site


pytestmark = pytest.mark.furnished

WIDGET = '<elevenlabs-convai agent-id="agent-{}"></elevenlabs-convai>'
PATIENCE = 30.0
BREAK_OUT = {
    "return window.parent.document.title": 'frame with origin "null"',
    "return document.cookie": "sandboxed",
    "return window.localStorage": "sandboxed",
}
ANSWERS = (("Warm", "It let me finish."), ("Cold", "=1+1"))


class Person:
    """Somebody at a browser."""

    def __init__(self, browser: Chrome, site: Site) -> None:
        self.browser = browser
        self.site = site

    def one(self, css: str) -> WebElement:
        return self.browser.find_element(By.CSS_SELECTOR, css)

    def reads(self, css: str, text: str) -> None:
        """Wait until the page that comes next says so."""
        shown = text_to_be_present_in_element((By.CSS_SELECTOR, css), text)
        WebDriverWait(self.browser, PATIENCE).until(shown)

    def sign_in(self, actor: str, *roles: str) -> None:
        self.browser.delete_all_cookies()
        self.browser.get(f"{self.site.url}/playgrounds")
        token = self.site.world.token(f"user:{actor}", roles=roles)
        self.one("[name=token]").send_keys(token)
        self.one("main button").click()
        self.reads("h1", "Playgrounds")

    def set_up(self) -> None:
        self.browser.find_element(By.LINK_TEXT, "New playground").click()
        self.one("[name=name]").send_keys("Greetings")
        for letter in "ab":
            self.one(f"[name=model-{letter}-name]").send_keys(f"Secret {letter}")
            self.one(f"[name=model-{letter}-embed]").send_keys(WIDGET.format(letter))
        self.one("[name=question-1-text]").send_keys("How was the tone?")
        self.one("[name=question-1-options]").send_keys("Warm\nCold")
        self.one("[name=question-2-text]").send_keys("Why?")
        kind = self.one("[name=question-2-kind]")
        kind.find_element(By.CSS_SELECTOR, "[value=input_string]").click()
        self.one("main button").click()
        self.reads("h1", "Greetings")

    def look_into_the_frame(self) -> str:
        self.browser.switch_to.frame(self.one("#model"))
        model = self.one("elevenlabs-convai").get_attribute("agent-id")
        for script, refusal in BREAK_OUT.items():
            with pytest.raises(WebDriverException, match=refusal):
                self.browser.execute_script(script)
        self.browser.switch_to.default_content()
        return str(model)

    def evaluate(self, choice: str, text: str) -> str:
        self.one("#begin").click()
        model = self.look_into_the_frame()
        assert "Secret" not in self.one("body").text
        self.one(f"input[value={choice}]").click()
        self.one("textarea").send_keys(text)
        self.one("#answers button").click()
        self.reads("#thanks", "Thank you.")
        return model


def act(browser: Chrome, site: Site) -> None:
    person = Person(browser, site)
    person.sign_in("ada", "user")
    person.set_up()
    person.sign_in("tess", "tester")
    browser.find_element(By.LINK_TEXT, "Greetings").click()
    seen = {person.evaluate(*answer) for answer in ANSWERS}
    assert seen == {"agent-a", "agent-b"}
    person.one("#begin").click()
    person.reads("#problem", "every model")
    person.sign_in("ada", "user")
    browser.find_element(By.CSS_SELECTOR, "#own a").click()
    person.reads("#evaluations", "2")
    texts = person.one("#texts").text
    assert all(text in texts for _, text in ANSWERS)
    assert "Secret a" in person.one("#models").text


async def test_owner_and_tester_go_all_the_way(browser: Chrome, site: Site) -> None:
    await asyncio.to_thread(act, browser, site)
