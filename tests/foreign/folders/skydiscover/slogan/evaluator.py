"""Scores a text by the share of wanted words in it."""

WANTED = ("fresh", "bread", "every", "morning")


def evaluate(prompt_path):
    with open(prompt_path, encoding="utf-8") as file:
        words = file.read().lower().replace(".", "").split()
    return {"combined_score": sum(word in words for word in WANTED) / len(WANTED), "words": len(words)}
