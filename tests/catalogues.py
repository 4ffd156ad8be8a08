"""A small catalogue in the format of the Berkeley Function Calling Leaderboard, made up here."""

import hashlib
import json
import zipfile

from sparseact.catalogue.sets import FOLDER, SETS, names_of

THINGS = ("weather", "flight", "hotel", "music", "pizza", "taxi", "stock", "photo")
DEEDS = ("find", "book", "cancel", "rate")
VERSION = "2026.3.23"


def files(sets=SETS, n_requests=60):
    """The text of each file: the first tools are needed far more often than the last."""
    tools = [(f"{thing}.{deed}", f"To {deed} a {thing}.") for thing in THINGS for deed in DEEDS]
    made = {}
    for which, name in enumerate(sets):
        asked, answered = [], []
        for i in range(n_requests):
            right = (i * i * 7 + which) % (1 + i % len(tools))
            offered = [tools[right], tools[(right + 5) % len(tools)]]
            thing, deed = tools[right][0].split(".")
            said = f"Please {deed} me some {thing} number {i % 5}"
            key = f"{name}_{i}"
            asked.append(line(key, said, offered))
            answered.append(json.dumps({"id": key, "ground_truth": [{tools[right][0]: {}}]}))
        for file, lines in zip(names_of(name), (asked, answered), strict=True):
            made[file] = "".join(one + "\n" for one in lines)
    return made


def line(key, said, offered):
    """A line of a file of requests."""
    told = [{"name": name, "description": text, "parameters": {}} for name, text in offered]
    question = [[{"role": "system", "content": "Be kind."}, {"role": "user", "content": said}]]
    return json.dumps({"id": key, "question": question, "function": told})


def wheel(folder, texts, version=VERSION):
    """A wheel that holds the files where the published one does; its path and its digest."""
    path = folder / f"bfcl_eval-{version}-py3-none-any.whl"
    about = f"bfcl_eval-{version}.dist-info"
    held = {f"{FOLDER}{name}": text for name, text in texts.items()}
    held[f"{about}/METADATA"] = f"Metadata-Version: 2.1\nName: bfcl-eval\nVersion: {version}\n"
    held[f"{about}/WHEEL"] = "Wheel-Version: 1.0\nTag: py3-none-any\n"
    held[f"{about}/RECORD"] = ""
    with zipfile.ZipFile(path, "w") as file:
        for name, text in held.items():
            file.writestr(zipfile.ZipInfo(name), text)  # of no time, so that bytes are the same
    return path, hashlib.sha256(path.read_bytes()).hexdigest()
