"""Dashboards for Grafana: whether they have its form, and whether their queries find anything.

dashboards.py form FILE...         what Grafana would not take, as far as that can be told without it
dashboards.py query URL FILE...    asks the Prometheus at URL each query; none may be broken or find nothing
dashboards.py alerts URL           no rule of the Prometheus at URL may fail
"""

import json
import sys
import time
import urllib.parse
import urllib.request

KINDS = {"row", "stat", "timeseries"}
# How long a query may take to find something: rates need two scrapes.
PATIENCE_SECONDS = 30


def panels(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)["panels"]


def queries(path):
    for panel in panels(path):
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]


def faults(path):
    with open(path, encoding="utf-8") as file:
        dashboard = json.load(file)
    for field, kind in {"uid": str, "title": str, "schemaVersion": int, "panels": list, "time": dict, "templating": dict}.items():
        if not isinstance(dashboard.get(field), kind):
            yield f"{field} is no {kind.__name__}"
    seen, taken = set(), set()
    for panel in dashboard["panels"]:
        name = f"panel {panel.get('title')!r}"
        if panel["id"] in seen:
            yield f"{name}: its id is taken"
        seen.add(panel["id"])
        if panel["type"] not in KINDS:
            yield f"{name}: of the kind {panel['type']}"
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        if place["x"] + place["w"] > 24 or cells & taken:
            yield f"{name}: it lies on another, or beyond the edge"
        taken |= cells
        if panel["type"] == "row":
            continue
        if not panel.get("targets"):
            yield f"{name}: it asks nothing"
        if len({target["refId"] for target in panel["targets"]}) != len(panel["targets"]):
            yield f"{name}: two queries have one name"
        for target in panel["targets"]:
            if target["datasource"]["uid"] != "prometheus" or not target["expr"]:
                yield f"{name}: a query to nobody, or of nothing"


def ask(url, path, **parameters):
    with urllib.request.urlopen(f"{url}{path}?{urllib.parse.urlencode(parameters)}", timeout=30) as answer:
        return json.load(answer)


def find(url, expression):
    """What a query finds, or why it finds nothing."""
    try:
        found = ask(url, "/api/v1/query", query=expression.replace("$__rate_interval", "20s"))["data"]["result"]
    except urllib.error.HTTPError as error:
        return [], json.load(error)["error"]
    return [sample for sample in found if sample["value"][1] != "NaN"], "nothing"


def main():
    command, arguments = sys.argv[1], sys.argv[2:]
    wrong, count = [], 0
    if command == "form":
        for path in arguments:
            count += 1
            wrong += [f"{path}: {fault}" for fault in faults(path)]
    elif command == "query":
        until = time.monotonic() + PATIENCE_SECONDS
        for path in arguments[1:]:
            for title, expression in queries(path):
                count += 1
                found, why = find(arguments[0], expression)
                while not found and time.monotonic() < until:
                    time.sleep(1)
                    found, why = find(arguments[0], expression)
                if not found:
                    wrong.append(f"{title}: {expression}: {why}")
    elif command == "alerts":
        for group in ask(arguments[0], "/api/v1/rules")["data"]["groups"]:
            for rule in group["rules"]:
                count += 1
                if rule["health"] == "err":
                    wrong.append(f"{rule['name']}: {rule.get('lastError')}")
    print("\n".join(wrong) or f"{count} are well")
    return 0 if count and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
