"""Answers of /api/v1/ from the form's own address, until there is one."""

import json
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import BrowserContext, Route


def stand_in(context: BrowserContext, site: str) -> None:
    revs: dict[str, Any] = {}

    def answer(route: Route) -> None:
        *_, token, what = route.request.url.rstrip("/").split("/")
        page = f"{site}/p/tides/rank/{token}/"
        body: Any = route.request.post_data_json if route.request.post_data else {}
        headers = {
            **route.request.headers,
            "content-type": "application/x-www-form-urlencoded",
        }
        headers.pop("content-length", None)
        if what == "draft":
            rev, _ = revs.get(token, (0, None))
            if body["rev"] != rev:
                route.fulfill(status=409, json={"rev": rev, "draft": revs[token][1]})
                return
            revs[token] = (rev + 1, body)
            route.fulfill(json={"rev": rev + 1, "saved_at": "2026-01-01T00:00:00Z"})
        elif what == "heartbeat":
            got = route.fetch(url=page + "renew/", headers=headers, post_data="")
            answer = got.json() if got.ok else {}
            route.fulfill(status=got.status, json={**answer, "seconds_left": 1800})
        elif what == "submit":
            fields = {f"tier_{k}": v for k, v in body["ranks"].items()}
            fields |= {
                "submission_uuid": body["submission_uuid"],
                "telemetry": json.dumps(body["telemetry"]),
                "replace": "on" if body["replace"] else "",
            }
            got = route.fetch(
                url=page, headers=headers, post_data=urlencode(fields), max_redirects=0
            )
            if got.status in (301, 302):
                route.fulfill(status=401, json={})
            else:
                route.fulfill(response=got)

    context.route("**/api/v1/assignments/**", answer)
