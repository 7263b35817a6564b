"""The tiny bot of the demo, in Rasa's REST dialect: `python -m plugins.demo.bot --port 5005`.

It knows a made-up shop, finds out what is meant by words, and says when it does not know. What it learns of
somebody goes back with its answers, as properties; what it knows comes with the next question.
"""

import argparse
import json
import re
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from zlib import crc32

from core import clock
from plugins.demo.people import LOCALES, NEARBY
from plugins.demo.phrases import LANGUAGES, say, written

PATH = "/webhooks/rest/webhook"
LARGEST_QUESTION = 200_000
MOST_SENDERS = 5_000

Answer = dict[str, Any]

# What is meant, by pieces of words in all languages of the demo; the first that is found counts.
MEANINGS: tuple[tuple[str, str], ...] = (
    (
        "person",
        "person human agent mensch mitarbeiter personne humain persona pessoa människa "
        "व्यक्ति شخص בן אדם נציג 担当 人工 상담원 людин άνθρωπο เจ้าหน้าที่ insan speak_to",
    ),
    (
        "return",
        "return refund exchange zurückgeb rückgabe umtausch retour rembours devolv devoluc reso "
        "restitui lämna लौटा إرجاع להחזיר 返品 退货 반품 поверну επιστρ คืน iade",
    ),
    (
        "assembly",
        "assembl install aufbau aufbauen montag monter montar montaggio montar montera जोड़ تركيب "
        "להרכיב 組み立て 安装 조립 зібра складан συναρμολογ ประกอบ kurabilir kurulum",
    ),
    (
        "hours",
        "hour open closed öffnungszeit geöffnet horaire ouvert horario abierto horário aberto "
        "aperto orari öppet खुला बजे يفتح مفتوح פתוח שעות 営業 几点 开门 여나 영업 працює ωράριο "
        "ανοιχτ เปิด açık",
    ),
    (
        "order",
        "order track arrive delivery deliver lo- bestellung lieferung commande livraison pedido "
        "entrega encomenda ordine consegna beställning leverans ऑर्डर डिलीवरी طلب توصيل הזמנה "
        "משלוח 注文 配送 订单 配送 주문 배송 замовлен достав παραγγελ คำสั่งซื้อ จัดส่ง sipariş "
        "teslimat",
    ),
    (
        "stock",
        "stock desk lamp shelf table chair sofa price schreibtisch lager regal bureau lampe "
        "escritorio existencia estoque magazzino scrivania skrivbord स्टॉक मेज़ متوفر طاولة מלאי "
        "שולחן 在庫 机 现货 桌 재고 책상 наявн стіл απόθεμα γραφείο สต็อก โต๊ะ stok masa",
    ),
    (
        "thanks",
        "thank dank merci gracias obrigad grazie tack धन्यवाद شكرا תודה ありがとう 谢谢 감사 "
        "дякую ευχαριστ ขอบคุณ teşekkür",
    ),
)

CHOICES = (("u_order", "/order"), ("u_assembly", "/assembly"), ("u_person", "/person"))

_SCRIPTS = (
    ("ja", "\u3040-\u30ff"),
    ("hi", "\u0900-\u097f"),
    ("ar", "\u0600-\u06ff"),
    ("he", "\u0590-\u05ff"),
    ("ko", "\uac00-\ud7af"),
    ("zh", "\u4e00-\u9fff"),
    ("uk", "\u0400-\u04ff"),
    ("el", "\u0370-\u03ff"),
    ("th", "\u0e00-\u0e7f"),
)
_LATIN = {
    "de": "der die das ist ich wo wann haben meine bestellung guten hallo danke bitte möchte",
    "fr": "le la est je où quand avez ma commande bonjour merci voudrais vous",
    "es": "el dónde está cuándo mi pedido hola buenas gracias quiero quisiera tienen",
    "pt": "o onde está quando meu pedido olá oi boa obrigada obrigado quero vocês têm",
    "it": "il dov è quando mio ordine ciao buongiorno grazie vorrei avete",
    "sv": "var är när min beställning hej tack jag vill har ni",
    "tr": "nerede ne zaman siparişim merhaba iyi günler teşekkürler istiyorum var mı",
    "en": "the is where when my order hello hi thank you do have would like i",
}


_CITIES = {locale.language: locale.city for locale in LOCALES if locale.language != "en"}
_ELSEWHERE = "Mumbai Pune Agra Noida London Paris Munich Osaka Hangzhou Busan Kyiv Gothenburg Madrid Rome"
_TOWNS = (*(locale.city for locale in LOCALES), *NEARBY.values(), *_ELSEWHERE.split())
_SLOTS = ("morning", "afternoon", "evening")
_TOPICS = frozenset({"order", "stock", "hours", "assembly", "return", "person"})
_GRADE = re.compile(r"\s*(10|[0-9])\s*")
_SKIPS = frozenset("-–—")


@dataclass
class _Sender:
    """What the bot remembers of somebody by itself; `asked` is whether it asked for a grade."""

    name: str
    language: str = ""
    is_new: bool = True
    asked: bool = False


class Bot:
    """The bot, with what it remembers of those who write to it."""

    def __init__(self, shop: str) -> None:
        self._shop = shop
        self._senders: OrderedDict[str, _Sender] = OrderedDict()
        self._lock = threading.Lock()

    def answer(self, question: dict[str, Any]) -> list[Answer]:
        """Answer one question; what was learned goes with the last answer."""
        text, metadata = str(question.get("message", "")), question.get("metadata")
        about: dict[str, Any] = metadata if isinstance(metadata, dict) else {}
        sender = self._remembered(str(question.get("sender", "")), text, str(about.get("language") or ""))
        learned: dict[str, Any] = {}
        answers = self._answers(sender, text, about, learned)
        sender.is_new = False
        if learned:
            answers[-1] = {**answers[-1], "metadata": {"properties": learned}}
        return answers

    def _answers(
        self, sender: _Sender, text: str, about: dict[str, Any], learned: dict[str, Any]
    ) -> list[Answer]:
        language = sender.language
        if sender.asked:
            sender.asked = False
            grade = _GRADE.fullmatch(text)
            learned["nps"] = int(grade[1]) if grade else "SKIPPED"  # so does who speaks of something else
            if grade or text.strip() in _SKIPS:
                return [{"text": say(language, "b_thanks")}]
        kind = about.get("kind", "text")
        if kind in ("image", "video", "audio", "voice", "file", "sticker", "unknown"):
            return [{"text": say(language, "b_person")}]
        if kind == "location":
            place = about.get("payload")
            if isinstance(place, dict) and place.get("name"):
                learned["city"] = str(place["name"])
            return [_delivers(language, learned.get("city") or text)]
        meaning = meant(text)
        learned |= _learned(text, meaning)
        if meaning is None and not sender.is_new and "city" not in learned:
            return [{"text": say(language, "b_person"), "buttons": _choices(language)}]
        given = about.get("properties")
        known = {**given, **learned} if isinstance(given, dict) else learned
        answers = self._say(meaning, sender, text, known)
        if meaning == "thanks" and "nps" not in known:
            sender.asked = True
            answers.append({"text": say(language, "b_nps")})
        return answers

    def _say(self, meaning: str | None, sender: _Sender, text: str, known: dict[str, Any]) -> list[Answer]:
        language, town = sender.language, _town(text)
        if town and (meaning is None or (meaning == "order" and "deliver" in text.casefold())):
            return [_delivers(language, town)]
        match meaning:
            case "order":
                number = f"LO-{20100 + crc32(sender.name.encode()) % 900}"
                return [
                    {
                        "text": say(
                            language,
                            "b_order",
                            order=number,
                            day=written(clock.now() + timedelta(days=3), language),
                        )
                    }
                ]
            case "stock":
                city = str(known.get("city") or _CITIES.get(language, "your door"))
                return [
                    {"text": "Walnut desk 140 · € 489.00", "image": f"{self._shop}static/desk.svg"},
                    {
                        "text": say(language, "b_stock", product="Walnut desk 140", city=city),
                        "buttons": _choices(language)[1:],
                    },
                ]
            case "hours" | "assembly" | "return" | "person" | "thanks":
                return [{"text": say(language, f"b_{meaning}")}]
            case _:
                return [{"text": say(language, "b_hello"), "buttons": _choices(language)}]

    def _remembered(self, name: str, text: str, named: str) -> _Sender:
        """Return what is known of a sender, with the language to answer in."""
        with self._lock:
            found = self._senders.setdefault(name, _Sender(name))
            fallback = named[:2] if named[:2] in LANGUAGES else "en"
            found.language = spoken(text) or found.language or fallback
            self._senders.move_to_end(name)
            if len(self._senders) > MOST_SENDERS:
                self._senders.popitem(last=False)
        return found


def meant(text: str) -> str | None:
    """Return what `text` is about, or None when the bot does not know."""
    words = text.casefold()
    if words.startswith("/"):
        return next((meaning for meaning, _ in MEANINGS if words[1:].startswith(meaning)), None)
    for meaning, pieces in MEANINGS:
        if any(_holds(words, piece) for piece in pieces.split()):
            return meaning
    return None


def spoken(text: str) -> str | None:
    """Return the language of `text`, by its script, or by at least two common words; None when it cannot be
    told.
    """
    for language, characters in _SCRIPTS:
        if re.search(f"[{characters}]", text):
            return language
    words = set(re.findall(r"\w+", text.casefold()))
    scores = {language: len(words & set(common.split())) for language, common in _LATIN.items()}
    best = max(scores, key=lambda language: scores[language])
    return best if scores[best] >= 2 else None


def _holds(words: str, piece: str) -> bool:
    """Say whether a piece of a word is there: at the beginning of a word, or anywhere in scripts without
    spaces.
    """
    if piece.isascii() or not re.match(
        r"[\u0e00-\u0e7f\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af\u0590-\u06ff]", piece
    ):
        return re.search(rf"(?<!\w){re.escape(piece)}", words) is not None
    return piece in words


def _delivers(language: str, city: str) -> Answer:
    return {"text": say(language, "b_stock", product="Walnut desk 140", city=city)}


def _town(text: str) -> str | None:
    """Return the first of the known towns that is named."""
    words = text.casefold()
    return next((town for town in _TOWNS if _holds(words, town.casefold())), None)


def _learned(text: str, meaning: str | None) -> dict[str, Any]:
    """Return what a text says of whoever wrote it; nobody has defined `delivery_slot`."""
    words = text.casefold()
    found = {
        "topic": meaning if meaning in _TOPICS else None,
        "city": _town(text),
        "delivery_slot": next((slot for slot in _SLOTS if _holds(words, slot)), None),
        "assembly_wanted": True if meaning == "assembly" else None,
    }
    return {key: value for key, value in found.items() if value is not None}


def _choices(language: str) -> list[Answer]:
    return [{"title": say(language, key), "payload": payload} for key, payload in CHOICES]


class Server(ThreadingHTTPServer):
    """The bot behind HTTP, on this machine alone."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, bot: Bot) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.bot = bot


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = 10

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if self.path != PATH or not length.isdigit() or int(length) > LARGEST_QUESTION:
            self.send_error(404 if self.path != PATH else 413)
            return
        try:
            question = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            question = None
        if not isinstance(question, dict):
            self.send_error(400)
            return
        body = json.dumps(
            [{"recipient_id": question.get("sender"), **one} for one in self.server.bot.answer(question)]
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing: what people write does not belong in a log."""


def main() -> None:
    """Answer until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=5005)
    parser.add_argument("--shop", default="http://127.0.0.1:8000/demo/", help="where the shop's pictures are")
    options = parser.parse_args()
    Server(options.port, Bot(options.shop)).serve_forever()


if __name__ == "__main__":
    main()
