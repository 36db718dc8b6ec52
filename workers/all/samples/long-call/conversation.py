"""The text of an endless call to an office: sentences from a grammar, each said only once."""

import random
import re
from collections import deque
from collections.abc import Iterator

WORDS = {
    "first": (
        "Alice Martin Sophie Daniel Rachel Thomas Laura Peter Hannah George Julia Andrew Nora Simon Clara"
        " Victor Emily Robert Helen Marcus Diana Oliver Grace Samuel Rosa Edward Irene Walter Janet Philip"
    ).split(),
    "last": (
        "Harper Foster Bennett Collins Murray Walsh Porter Hughes Carter Fletcher Marshall Barnes Coleman"
        " Webster Parker Griffin Holland Mason Palmer Spencer Turner Wallace Young Chapman Dixon Ellis"
    ).split(),
    "town": (
        "Bristol Boston Denver Oxford Chicago Dublin Portland Toronto Austin Glasgow Seattle Lincoln"
        " Richmond Cambridge Houston Vancouver Brighton Phoenix Melbourne Nashville"
    ).split(),
    "day": "Monday Tuesday Wednesday Thursday Friday Saturday".split(),
    "month": "January February March April May June July August September October November".split(),
    "rank": (
        "first,second,third,fourth,fifth,sixth,seventh,eighth,ninth,tenth,twelfth,fourteenth,sixteenth,"
        "eighteenth,twentieth,twenty second,twenty fifth,twenty eighth"
    ).split(","),
    "number": (
        "two three four five six seven eight nine eleven twelve fifteen eighteen twenty thirty forty"
    ).split(),
    "hour": "seven eight nine ten eleven".split(),
    "thing": (
        "invoice,contract,parcel,report,letter,new printer,garden table,repair kit,membership card,"
        "insurance form,travel booking,kitchen cabinet,winter coat,bicycle,coffee machine,red suitcase,"
        "water filter,laptop charger,wooden chair,birthday present,spare key,hospital bill"
    ).split(","),
    "place": (
        "warehouse,front desk,main office,post office,station,library,market,school,workshop,hotel,"
        "airport,city hall,pharmacy,garage,bakery,museum,harbor"
    ).split(","),
    "problem": (
        "was damaged on the way,never arrived,came in the wrong color,was sent to the old address,"
        "stopped working after a week,was paid twice,had the wrong name on it,was left out in the rain,"
        "had two pages missing,was picked up by somebody else,made a strange noise,did not fit"
    ).split(","),
    "job": (
        "plumber driver teacher nurse builder manager doctor gardener lawyer painter baker mechanic"
    ).split(),
    "adjective": (
        "careful,friendly,patient,gentle,busy,nervous,cheerful,tired,clever,quiet,polite,generous"
    ).split(","),
    "weather": (
        "the heavy rain,the storm,the snow,the fog,the strong wind,the road works,the strike,the holiday"
    ).split(","),
    "food": "soup bread cheese coffee salad chicken rice chocolate fruit pasta fish".split(),
    "hobby": (
        "painting,gardening,chess,swimming,cooking,sailing,photography,hiking,reading,dancing,singing"
    ).split(","),
    "feeling": (
        "really disappointed,quite happy,very angry,pleasantly surprised,a little worried,so relieved,"
        "completely confused,very grateful"
    ).split(","),
}

SENTENCES = [
    "My name is {first} {last}, and I am calling about the {thing} that I ordered in {month}.",
    "The {thing} for {first} {last} {problem}, and I am {feeling} about it.",
    "Could you check whether the {thing} from {town} has reached the {place} by now?",
    "I spoke to {first} at the {place} on {day}, and the answer was not very clear.",
    "We moved from {town} to {town} on the {rank} of {month}, so please change the address.",
    "It should take about {number} days, because of {weather} near {town}.",
    "I will send the {thing} to the {place} before {day}, and {first} will call you back.",
    "There were {number} people waiting at the {place}, and only {number} of them had a ticket.",
    "{first} {last} works as a {job} in {town}, so the letters go to the {place}.",
    "To be honest, the {job} was {adjective} and helpful, but the {thing} {problem}.",
    "Would {day} the {rank} of {month} at {hour} in the morning suit you better?",
    "Please bring the {thing} and a copy of the letter that {first} signed in {town}.",
    "We had {food} and {food} in a small place beside the {place}, and it was wonderful.",
    "The price went up by {number} percent in {month}, which is why {first} {last} complained.",
    "I have written down that the {thing} {problem} on {day}, is that right?",
    "My neighbor {first}, who is a {adjective} {job}, told me to ask for {first} {last}.",
    "If the {thing} is not in {town} by {day}, then I would like my money back.",
    "Our {job} can visit you on {day}, somewhere between {hour} and {hour}.",
    "I am {feeling} that the {place} in {town} was closed because of {weather}.",
    "Let me look at the list: there is one {thing} for {last}, and another one for {last} in {town}.",
    "My {adjective} cousin {first} has enjoyed {hobby} ever since we lived in {town}.",
    "Thank you for the {food} that you sent to the {place}, the whole team liked it on {day}.",
    "How long did {first} wait at the {place} before the {job} opened the door?",
    "The last train from {town} to {town} was cancelled on {day} because of {weather}.",
    "You can leave the {thing} with {first} {last}, the {job} at the {place}.",
    "I read that {hobby} is good for {adjective} people, and {first} in {town} says so too.",
    "Nobody told us that the {thing} {problem}, and that was in {month}!",
    "In {month} we opened another {place} in {town}, with {number} rooms and a {adjective} {job}.",
    "Is it true that {first} {last} gave up {hobby} after {number} years in {town}?",
    "I'm sorry about the {thing}, I will ask the {job} in {town} to look at it on {day}.",
    "The course in {hobby} starts on the {rank} of {month}, and it costs {number} dollars a week.",
    "She was {feeling} when the {adjective} {job} from {town} found the {thing} at the {place}.",
]


# So many sentences apart at least are two of the same pattern.
APART = 12


def conversation(seed: int) -> Iterator[tuple[int, str]]:
    """Turns of one to four sentences, speakers 0 and 1 by turns, without end or repetition."""
    dice = random.Random(seed)
    said = set()
    recent = deque(maxlen=APART)
    speaker = 0
    while True:
        turn = []
        wanted = dice.choice([1, 1, 2, 2, 3, 4])
        while len(turn) < wanted:
            pattern = dice.choice([each for each in SENTENCES if each not in recent])
            sentence = filled(pattern, dice)
            if sentence not in said:
                said.add(sentence)
                recent.append(pattern)
                turn.append(sentence)
        yield speaker, " ".join(turn)
        speaker = 1 - speaker


def filled(pattern: str, dice: random.Random) -> str:
    """No word fills two slots of one sentence."""
    taken = set()

    def fill(slot: re.Match[str]) -> str:
        word = dice.choice([each for each in WORDS[slot[1]] if each not in taken])
        taken.add(word)
        return word

    return re.sub(r"\{(\w+)\}", fill, pattern)
