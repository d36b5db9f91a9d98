"""The sections of RESULTS.md on downstream tasks: who does which work, and what must be reached."""

from benchmarks.classifying_texts import SETS
from benchmarks.embedding_texts import BANKING77, CLINC150, CRANFIELD
from benchmarks.embedding_texts import STSB as STSB_DEV
from benchmarks.exported import TASKS as EXPORTED
from benchmarks.exported import TOLERANCE
from benchmarks.exported_texts import DOMAINS, STSB
from benchmarks.figures import KBERT
from benchmarks.plan import BFLOAT16, TORCH_NEEDS, TRANSFORMERS, Contender, Section
from benchmarks.pretraining_sections import SEEDS, quality
from benchmarks.pronouns import TEST, VALIDATION
from benchmarks.squad import SQUAD
from benchmarks.tagging import CONLL, MASAKHANER
from benchmarks.targets import Apart, Bound, Near, Within
from benchmarks.texts import BOOKS, LOW_RESOURCE, SST2
from benchmarks.word_senses import SENSEVAL

OURS, THEIRS = f"{KBERT} bfloat16", f"{TRANSFORMERS} bfloat16"
CLOSE = 1e-5  # what export.parity asks of every exported model


def ours(module: str, work: str, name: str = OURS, dtype: str = BFLOAT16, **kwargs) -> Contender:
    """A work of kbert's."""
    return Contender(name, module, work, dtype, **kwargs)


def theirs(module: str, work: str, **kwargs) -> Contender:
    """The same by transformers."""
    return Contender(THEIRS, module, work, BFLOAT16, needs=TORCH_NEEDS, peer=True, **kwargs)


def sets(title: str, *names: str) -> Section:
    """Sets of labelled texts, each by kbert and then by transformers."""
    return Section(
        title,
        tuple(one for name in names for one in (ours("classifying", name), theirs("classifying_torch", name))),
        default=False,
        files=tuple(file for name in names for file in SETS[name].files),
    )


def low_resource_names(part: str) -> Contender:
    """Names from the RUN of the study of little text, or from random weights, a seed a round."""
    told = {"pretrained": "pre-trained", "random": "random weights"}[part]
    return ours("tagging", f"low-resource-{part}", f"{KBERT} {told}", rounds=SEEDS, hours=2)


TASKS = {
    "conll2003": Section(
        "Names in CoNLL-2003",
        (
            ours("tagging", "conll2003"),
            theirs("tagging_torch", "conll2003"),
            ours("tagging", "conll2003-crf", f"{KBERT} CRF bfloat16"),
        ),
        (Bound("testb entity F1", 86.2, 86.7), Within("testb entity F1", THEIRS, 0.5)),
        default=False,
        files=CONLL,
    ),
    "masakhaner": Section(
        "Names in Swahili, Yoruba and Hausa",
        (low_resource_names("random"), low_resource_names("pretrained")),
        tuple(
            Apart(f"test entity F1, {language}", f"{KBERT} pre-trained", f"{KBERT} random weights")
            for language in ("all", *MASAKHANER)
        ),
        prepare=(quality(KBERT, "low-resource-pretrain"),),
        default=False,
        files=(
            *LOW_RESOURCE,
            *(f"{folder}/{part}.txt" for folder in MASAKHANER.values() for part in ("train", "dev", "test")),
        ),
    ),
    "similarity": Section(
        "STS-B, not trained",
        (ours("retrieval", "similarity", KBERT, "float32"),),
        (Near("STS-B dev, spearman", 86.72, 0.1),),
        default=False,
        files=STSB_DEV,
    ),
    "retrieval": Section(
        "Cranfield, not trained",
        (ours("retrieval", "search", KBERT, "float32"),),
        (Near("Cranfield, ndcg_at_10", 39.95, 0.2),),
        default=False,
        files=CRANFIELD,
    ),
    "squad": Section(
        "SQuAD 1.1",
        (ours("answering", "train", hours=2), theirs("answering_torch", "train", hours=3)),
        (Within("test F1", THEIRS, 1),),
        default=False,
        files=(SQUAD,),
    ),
    "intents": Section(
        "Intents without and with few examples",
        tuple(ours("few_shot", work, hours=2) for work in ("clinc_zero", "clinc_few", "banking_few")),
        default=False,
        files=(*CLINC150, *BANKING77),
    ),
    "classification": sets("RTE, CoLA and TREC", "rte", "cola", "trec"),
    "agnews": sets("AG News", "agnews"),
    "senses": Section(
        "Word senses, not trained",
        tuple(
            ours("word_senses", work, f"{KBERT} {work}", "float32") for work in ("static", "contextual", "last-four")
        ),
        tuple(
            Apart(word, f"{KBERT} contextual", f"{KBERT} static")
            for word in ("hard-a", "interest-n", "line-n", "serve-v", "mean of the words")
        ),
        default=False,
        files=(SENSEVAL,),
    ),
    "pronouns": Section(
        "Pronouns, not trained",
        (
            ours("pronouns", "vectors", f"{KBERT} vectors", "float32"),
            Contender("the nearer name", "pronouns", "nearest"),
            Contender("chance", "pronouns", "chance"),
        ),
        default=False,
        files=(VALIDATION, TEST),
    ),
    "exported": Section(
        "Exported == trained",
        tuple(ours("exported", name, KBERT, "float32") for name in EXPORTED),
        tuple(
            target
            for name in EXPORTED
            for target in (
                Bound(f"{name}, equal answers", 100, 100),
                Bound(f"{name}, largest difference", TOLERANCE, CLOSE),
            )
        ),
        default=False,
        files=(*SST2[:2], *SETS["rte"].files, *CLINC150, DOMAINS, *STSB, *CONLL[:2], SQUAD, BOOKS),
    ),
}
