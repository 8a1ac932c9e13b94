"""The dashboard in a real Chromium against the real binary, with an official SDK as the application."""
import json
import os
import re

import openai
import pytest

from weir import ADMIN_KEY, Weir, config

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (make setup)")
CHROMIUM = next((p for p in ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome") if os.path.exists(p)), None)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium here")
XSS = ['<img src=x onerror="document.title=\'owned\'">', '"><script>document.title="owned"</script>', "javascript:document.title='owned'", "{{7*7}}</textarea><svg/onload=alert(1)>"]


def page_config(tmp_path, **more):
    return config(sim=True, stateDir=str(tmp_path / "state"), gateway={"cooldown": True}, admin={"listen": "127.0.0.1:0", "apiKeys": [ADMIN_KEY]}, **more)


@pytest.fixture(scope="module")
def chromium():
    with sync_api.sync_playwright() as p:
        b = p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield b
        b.close()


class Tab:
    """A tab that is signed in, and remembers everything that went wrong in it."""

    def __init__(self, browser, port, width=1200, dark=False, key=ADMIN_KEY):
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light")
        self.page = self.context.new_page()
        self.base, self.wrong = "http://127.0.0.1:%d/" % port, []
        self.page.on("console", lambda m: self.wrong.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda e: self.wrong.append(str(e)))
        self.page.set_default_timeout(8000)
        self.page.goto(self.base)
        self.page.fill("input[type=password]", key)
        self.page.keyboard.press("Enter")
        self.page.wait_for_selector(".frame h1") # narrow ones have "Sign out" in a menu

    def go(self, view):
        self.page.goto(self.base + "#/" + view)
        self.page.wait_for_timeout(150)
        return self.page

    def close(self, *expected):
        wrong = [w for w in self.wrong if not any(e in w for e in expected)]
        self.context.close()
        assert not wrong, wrong


def api(weir, path, body=None):
    r = weir.admin(path, body)
    assert r.status < 300, r.body
    return json.loads(r.body)


def test_first_run(tmp_path, chromium):
    """From nothing: two keys of the simulator, an access key, an answer that streams in, a failover seen; the SDK does it again and is seen live."""
    with Weir(page_config(tmp_path)) as weir:
        tab = Tab(chromium, weir.admin_port)
        page = tab.go("start")
        page.click("text=Use the simulator instead")
        page.click("text=Create the access key")
        page.wait_for_selector("text=This is the only time it is shown")
        token = re.search(r"weir_[A-Za-z0-9]{40}", page.content()).group(0)
        page.get_by_role("button", name="Send", exact=True).click()
        page.wait_for_selector("text=The first attempt failed, and your application would not have noticed")
        assert page.inner_text(".answer").strip()
        page.click("text=See the request")
        page.wait_for_selector("text=429")
        assert token not in page.content()
        tab.go("requests")
        page.wait_for_selector("tbody tr")
        before = page.locator("tbody tr").count()
        client = openai.OpenAI(base_url="http://127.0.0.1:%d/v1" % weir.port, api_key=token, max_retries=0)
        said = client.chat.completions.create(model="sim:echo", messages=[{"role": "user", "content": "from an application"}])
        assert said.choices[0].message.content == "from an application"
        page.wait_for_function("n => document.querySelectorAll('tbody tr').length > n", arg=before)
        for view in ("health", "usage", "configurations", "access-keys", "provider-keys"):
            tab.go(view)
            assert page.locator("h1").count() == 1
        tab.close()


def test_order_by_keyboard(tmp_path, chromium):
    """The second key becomes the first by keyboard; saved, the next request obeys."""
    with Weir(page_config(tmp_path)) as weir:
        keys = [api(weir, "/provider-keys", {"providerId": "sim", "name": n, "value": "sim-ok"}) for n in ("one", "two")]
        made = api(weir, "/access-key-configurations", {"name": "c", "router": {"rules": [{"provider": "sim", "steps": [{"type": "user", "keys": [{"id": k["id"]} for k in keys]}]}]}})
        app = api(weir, "/access-keys", {"name": "a", "accessKeyConfigurationId": made["id"]})

        def who():
            r = weir.call("/v1/chat/completions", {"model": "sim:echo", "messages": [{"role": "user", "content": "x"}]}, token=app["token"])
            return r.get("x-weir-attempts")
        assert who() == "sim/one=200"
        tab = Tab(chromium, weir.admin_port)
        page = tab.go("configurations/" + made["id"])
        page.wait_for_selector("text=These keys")
        names = [b.get_attribute("aria-label") for b in page.locator("button[aria-label*='two' i]").all()]
        mover = next(n for n in names if re.search("up|earlier|first", n, re.I))
        page.locator("button[aria-label=\"%s\"]" % mover).focus()
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Save", exact=True).click()
        page.wait_for_timeout(300)
        assert who() == "sim/two=200"
        tab.close()


def test_two_browsers(tmp_path, chromium):
    with Weir(page_config(tmp_path)) as weir:
        made = api(weir, "/access-key-configurations", {"name": "shared"})
        tabs = [Tab(chromium, weir.admin_port) for _ in range(2)]
        for t in tabs:
            t.go("configurations/" + made["id"]).wait_for_selector("input[value=shared], input")
        for t, name in zip(tabs, ("first", "second")):
            box = t.page.get_by_label("Name", exact=True)
            box.fill(name)
            t.page.get_by_role("button", name="Save", exact=True).click()
            t.page.wait_for_timeout(300)
        tabs[1].page.wait_for_selector("text=Somebody else changed this configuration")
        assert json.loads(weir.admin("/access-key-configurations/" + made["id"]).body)["name"] == "first"
        for t in tabs:
            t.close("412")


def test_stored_text_is_text(tmp_path, chromium):
    with Weir(page_config(tmp_path)) as weir:
        for i, x in enumerate(XSS):
            key = api(weir, "/provider-keys", {"providerId": "sim", "name": x, "description": x, "metadata": x, "value": "sim-ok"})
            conf = api(weir, "/access-key-configurations", {"name": x, "description": x, "router": {"aliases": {x: ["sim:echo"]}, "rules": [
                {"provider": "sim", "steps": [{"type": "user", "keys": [{"id": key["id"]}]}]}]}})
            app = api(weir, "/access-keys", {"name": x, "description": x, "metadata": x, "accessKeyConfigurationId": conf["id"]})
            api(weir, "/api-keys", {"name": x, "description": x})
            api(weir, "/providers", {"providerId": "p%d" % i, "name": x, "description": x, "metadata": x, "baseUrl": "http://127.0.0.1:9"})
            weir.call("/v1/chat/completions", {"model": x, "messages": [{"role": "user", "content": x}]}, token=app["token"])
        for width, dark in ((1200, False), (360, True)):
            tab = Tab(chromium, weir.admin_port, width, dark)
            for view in ("requests", "health", "usage", "configurations", "configurations/" + conf["id"], "access-keys", "provider-keys", "providers", "api-keys", "settings"):
                page = tab.go(view)
                assert page.title() != "owned" and page.locator("main img, main script, main svg[onload]").count() == 0, view
                wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                assert wide <= 0, (view, width, wide)
            assert XSS[0] in tab.go("provider-keys").inner_text("main")
            tab.close()


def test_gone_and_back_and_signed_out(tmp_path, chromium):
    """The gateway restarts under an open page, which says so and goes on; a revoked key leads back to the door."""
    conf = page_config(tmp_path)
    weir = Weir(conf)
    port, made = weir.admin_port, api(weir, "/api-keys", {"name": "mine"})
    conf["admin"]["listen"] = "127.0.0.1:%d" % port
    tab = Tab(chromium, port, key=made["token"])
    page = tab.go("requests")
    weir.stop()
    page.wait_for_selector("text=does not answer")
    with Weir(conf) as weir:
        page.wait_for_selector("text=does not answer", state="hidden", timeout=15000)
        assert weir.admin("/api-keys/" + made["id"], method="DELETE").status == 204
        tab.go("provider-keys")
        page.wait_for_selector("input[type=password]")
        page.fill("input[type=password]", ADMIN_KEY)
        page.keyboard.press("Enter")
        page.wait_for_selector(".frame h1")
        tab.close("401", "ERR_CONNECTION_REFUSED", "Failed to load resource", "ERR_CONNECTION_RESET")
