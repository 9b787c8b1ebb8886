"""Look at the built site in Chromium: PHYSIOKERAS_SITE=FOLDER pytest tests/extras/test_site.py.

Needs selenium, and Debian's packages chromium and chromium-driver. The site is served on loopback;
nothing else is asked.
"""

import functools
import http.server
import os
import threading
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

SITE = Path(os.environ["PHYSIOKERAS_SITE"])
PAGES = sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html") if path.name != "404.html")
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and prints nothing."""

    def log_message(self, *_):
        """Print nothing."""


@pytest.fixture(scope="module")
def address():
    """Address of a server of the site, on loopback."""
    handler = functools.partial(Quiet, directory=SITE)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium with an empty profile."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))
    yield driver
    driver.quit()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_loads_without_errors_from_this_host_alone_and_fits_a_phone(browser, address, page):
    browser.set_window_size(1200, 900)
    browser.get(f"{address}/{page}")
    assert browser.find_element(By.TAG_NAME, "h1").text
    assert [line for line in browser.get_log("browser") if line["level"] == "SEVERE"] == []
    loaded = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in loaded if not name.startswith((address, "data:", "blob:"))] == []
    broken = "return [...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
    assert browser.execute_script(broken) == []
    browser.set_window_size(400, 800)
    assert browser.execute_script("return document.documentElement.scrollWidth - window.innerWidth") <= 1


def test_the_search_finds_a_layer(browser, address):
    browser.set_window_size(1200, 900)
    browser.get(f"{address}/index.html")
    browser.execute_script("document.querySelector('#__search').click()")
    browser.find_element(By.CSS_SELECTOR, "input.md-search__input").send_keys("ModalityDropout")
    results = ".md-search-result__item a"
    WebDriverWait(browser, 20).until(lambda driver: driver.find_elements(By.CSS_SELECTOR, results))
    found = [link.get_attribute("href") for link in browser.find_elements(By.CSS_SELECTOR, results)]
    assert any("reference/layers.html" in link for link in found)


def test_light_and_dark_differ(browser, address):
    browser.set_window_size(1200, 900)
    browser.get(f"{address}/index.html")
    colour = "return getComputedStyle(document.body).backgroundColor"
    before = browser.execute_script(colour)
    browser.execute_script("document.querySelector('label[for^=__palette]:not([hidden])').click()")
    WebDriverWait(browser, 10).until(lambda driver: driver.execute_script(colour) != before)
