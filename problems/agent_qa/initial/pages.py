"""Finds pages and reads them: find(name, kind, tools) returns a page's text, read(page, name, relation, lm) a value."""

from pathlib import Path

READ = (Path(__file__).parent / "prompts" / "read.txt").read_text()


def find(name, kind, tools):
    """Returns the page of something: the first that a search finds, or directly if its title is known well enough."""
    certainty = 0.4  # that a page is titled NAME (KIND)
    needed = 0.8
    title = name + " (" + kind + ")"
    if certainty < needed:
        titles = tools["search"](title)
        title = titles[0] if titles else ""
    return tools["lookup"](title)


def read(page, name, relation, lm):
    """Returns the last word of the sentence that says it, or asks the model if no sentence says it clearly."""
    clear = 3.0
    said = 1.0
    about = 0.5
    length = 0.0
    best, most = "", -9.0
    for sentence in page.split(". "):
        words = len(sentence.split())
        value = said * (relation in sentence) + about * (name in sentence) + length * words
        if value > most:
            best, most = sentence, value
    if most >= clear:
        return best.rstrip(".").split()[-1]
    return lm(READ + "\nPage: " + page + "\nWhat is the " + relation + " of " + name + "?").strip()
