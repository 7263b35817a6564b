"""What is left of personal data for those who may not see it in clear."""


def masked_name(name: str) -> str:
    """Return `Priya R.` for `Priya Raghunathan`; a single word keeps its first letter."""
    words = name.split()
    if not words:
        return ""
    if len(words) == 1:
        return f"{words[0][0]}•••"
    return f"{words[0]} {words[-1][0]}."


def masked_phone(phone: str) -> str:
    """Return the last four digits only; nothing of a number too short for that."""
    return f"•••• {phone[-4:]}" if len(phone) > 7 else "••••"


def masked_email(email: str) -> str:
    """Return the first letter and the domain."""
    name, at, domain = email.partition("@")
    return f"{name[:1]}••••••{at}{domain}" if at else "••••••"


def masked_id(value: str) -> str:
    """Return the last four characters of an id; nothing of one too short for that."""
    return f"•••• {value[-4:]}" if len(value) > 7 else "••••"
