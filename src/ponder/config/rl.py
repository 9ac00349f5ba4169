"""Every knob of an RL run (R1-Zero's GRPO and its variants)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from ponder.config.base import Config
from ponder.config.endpoint import EndpointConfig
from ponder.config.preference import PreferenceConfig
from ponder.errors import PonderError
from ponder.types import PREFERENCES, Sampling

NamedProblems = Literal[
    "gsm8k", "math", "math500", "aime25", "amc23", "svamp", "cmath", "aqua", "mmlu_stem",
    "knights_knaves", "mbpp", "humaneval",
]  # fmt: skip
WORKED_PROBLEMS = ("gsm8k", "math")
"""Those whose rows have a worked solution."""


class ProblemsConfig(Config):
    """Where problems come from: one of ``task``, ``mixture``, ``path``, ``hub``, ``name``."""

    task: str | None = None
    """A reasoning-gym task by name, e.g. "chain_sum"."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Settings passed to that task, e.g. {min_terms = 3}."""
    language: Literal["en", "zh", "both"] = "en"
    """The language that a task asks in (products, chain_sum, gcd); both: half Chinese."""
    mixture: list[dict[str, Any]] | None = None
    """Several sources: [{task = "gcd", weight = 2.0}, {path = "a.jsonl", domain = "math"}]."""
    path: Path | None = None
    """A .jsonl or .parquet file, or a local dataset folder."""
    hub: str | None = None
    """A Hugging Face dataset id (needs the extra ponder[hub])."""
    name: NamedProblems | None = None
    """A named source that Ponder knows the fields and the answer format of."""
    hub_config: str | None = None
    """The configuration (subset) of a hub dataset."""
    split: str = "train"
    """The split of a hub dataset that training problems come from."""
    heldout_split: str | None = None
    """Another split for held-out problems; without it a fixed share of the rows is held out."""
    question_field: str = "question"
    """The field of a row that holds the question."""
    answer_field: str = "answer"
    """The field of a row that holds the reference answer."""
    metadata_fields: dict[str, str] = Field(default_factory=dict)
    """What else the verifier needs, and the field that holds it, e.g. {choices = "options"}."""
    verifier: str | None = None
    """A name or "module:function"; without it the source's own verifier ("exact" for files)."""
    size: int = Field(default=100_000, ge=1)
    """Number of training problems that a procedural task or a mixture makes."""
    share: tuple[float, float] = (0.0, 1.0)
    """Part of the training problems: [0, 0.7] has none in common with [0.7, 1] (not tasks)."""
    new_numbers: int = Field(default=0, ge=0)
    """Ask each training problem so many times more, with other numbers (gsm8k, math)."""

    @model_validator(mode="after")
    def _one_source(self) -> ProblemsConfig:
        given = [
            key
            for key in ("task", "mixture", "path", "hub", "name")
            if getattr(self, key) is not None
        ]
        if len(given) > 1 and given != ["path", "name"]:
            raise PonderError("problems", given, "give only one of task, mixture, path, hub, name")
        if not 0 <= self.share[0] < self.share[1] <= 1:
            raise PonderError("problems.share", list(self.share), "use e.g. [0.0, 0.7]")
        if self.share != (0.0, 1.0) and (self.task or self.mixture):
            fix = "only for files and data sets: these problems are made, not read"
            raise PonderError("problems.share", list(self.share), fix)
        if self.new_numbers and self.name not in WORKED_PROBLEMS:
            fix = f"only for sources with worked solutions ({', '.join(WORKED_PROBLEMS)}); else 0"
            raise PonderError("problems.new_numbers", self.new_numbers, fix)
        return self


class TemplateConfig(Config):
    """How a question becomes a prompt."""

    name: Literal["r1_zero", "chat", "plain"] = "r1_zero"
    """r1_zero: the paper's Table 1, verbatim; chat: the model's own chat template; plain: as is."""
    system: str | None = None
    """A system message (chat only)."""
    suffix: str = ""
    """Appended to every question, e.g. the paper's "Please reason step by step, ..."."""


class SamplingConfig(Config):
    """How rollouts are sampled."""

    temperature: float = Field(default=1.0, gt=0)
    """Rollout temperature (paper: 1.0)."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Nucleus mass; 1 is off (the paper does not say; anything else biases the policy gradient)."""
    top_k: int = Field(default=0, ge=0)
    """Number of tokens kept; 0 is off."""
    max_completion_tokens: int = Field(default=256, ge=1)
    """Limit of a completion in tokens, its end token included."""
    max_batch_size: int = Field(default=512, ge=1)
    """Most sequences that the local generator decodes at once."""

    def to_sampling(self) -> Sampling:
        """As generators take it."""
        return Sampling(self.temperature, self.top_p, self.top_k, self.max_completion_tokens)


class RewardConfig(Config):
    """Weights of the named reward parts. R1-Zero: accuracy + format, same weight.

    Parts of weight 0 are neither computed nor logged, but for accuracy, preference and format.
    General problems (``PreferenceConfig``) have no accuracy and no score, others no preference.
    """

    accuracy: float = 1.0
    """Weight of 1[answer is correct]."""
    format: float = 1.0
    """Weight of 1[the completion has the template's strict format]."""
    score: float = 0.0
    """Weight of the verifier's partial credit in [0, 1] (share of tests), else of accuracy."""
    language: float = 0.0
    """Weight of R1's language consistency: the share of the thought's words in the language."""
    language_target: str = "auto"
    """That language: "en", "zh" and so on, or "auto" for that of the question."""
    repetition: float = 0.0
    """Weight of minus the share of repeated 8-grams (a value in [-1, 0])."""
    overlong: float = 0.0
    """Weight of DAPO's soft overlong punishment (a value in [-1, 0])."""
    overlong_buffer_tokens: int = Field(default=0, ge=0)
    """Tokens before the limit in which that punishment grows from 0 to -1."""
    preference: float = 1.0
    """Weight of the reward model's score in [0, 1]; of general problems, which have no accuracy."""
    random: float = 0.0
    """Weight of a fair coin. The control: with accuracy = format = 0 nothing may be learnt."""


class AlgorithmConfig(Config):
    """The policy-gradient objective. Equations: docs/papers.md."""

    loss: Literal["grpo", "dapo", "dr_grpo", "cispo", "gspo"] = "dapo"
    """The surrogate; grpo, dapo and dr_grpo share one. The rest of a variant: docs/papers.md."""
    normalise: Literal["token", "sequence", "constant"] = "token"
    """Loss aggregation: over all tokens; per-sequence mean first; or a constant (Dr. GRPO)."""
    advantage: Literal["std", "mean"] = "std"
    """Group-relative advantage: (r - mean) / std, or r - mean (Dr. GRPO)."""
    advantage_eps: float = Field(default=1e-6, ge=0)
    """Added to the (population) std."""
    clip_low: float = Field(default=0.2, ge=0)
    """Ratio is clipped below at 1 - clip_low. 1 or more never binds."""
    clip_high: float = Field(default=0.28, ge=0)
    """Ratio is clipped above at 1 + clip_high."""
    kl_coef: float = Field(default=0.0, ge=0)
    """Coefficient of the k3 KL to the reference, in the loss. 0: no reference is kept."""
    reference_every: int = Field(default=0, ge=0)
    """The reference (kept if kl_coef > 0) becomes the policy every this many updates; 0: never."""
    importance_cap: float = Field(default=2.0, ge=0)
    """Truncated importance sampling: weight min(old/sampler, cap); 0: off."""
    dynamic_sampling: bool = False
    """DAPO: sample more problems until enough groups have 0 < correct < all."""
    dynamic_sampling_rounds: int = Field(default=4, ge=1)
    """Most rounds of sampling per step when dynamic_sampling is on."""
    mask_truncated: bool = False
    """DAPO's overlong filtering: completions cut at the limit leave the loss."""

    @model_validator(mode="after")
    def _dr_grpo_is_whole(self) -> AlgorithmConfig:
        if self.loss == "dr_grpo" and (self.normalise, self.advantage) != ("constant", "mean"):
            raise PonderError(
                "algorithm.loss",
                self.loss,
                "its surrogate is GRPO's; what makes it Dr. GRPO are algorithm.normalise=constant "
                "and algorithm.advantage=mean: set both, or use loss=grpo",
            )
        return self


class BatchConfig(Config):
    """The arithmetic of a step: prompts x group = rollouts, split into minibatches (updates)."""

    prompts_per_step: int = Field(default=32, ge=1)
    """Problems per step."""
    group_size: int = Field(default=8, ge=2)
    """Completions per problem."""
    minibatches: int = Field(default=1, ge=1)
    """Optimizer updates per step (the paper: 16 minibatches, one inner epoch)."""
    microbatch_tokens: int = Field(default=0, ge=0)
    """Most tokens in one forward pass, without padding; 0: planned on a GPU, 16384 on a CPU."""
    logprob_chunk_tokens: int = Field(default=0, ge=0)
    """Tokens whose logits exist at once (memory, not the loss); 0: planned, 1024 on a CPU."""
    recompute: Literal["auto", "none", "layers"] = "auto"
    """layers: the backward pass computes a layer's activations again, but for its attention's."""
    compile: bool = True
    """torch.compile of the decoder layers for training (CUDA only)."""

    @model_validator(mode="after")
    def _divides(self) -> BatchConfig:
        if self.prompts_per_step % self.minibatches:
            raise PonderError(
                "batch.prompts_per_step",
                self.prompts_per_step,
                f"must be a multiple of batch.minibatches ({self.minibatches})",
            )
        return self


class OptimizerConfig(Config):
    """AdamW."""

    learning_rate: float = Field(default=1e-6, gt=0)
    """Peak learning rate."""
    warmup_steps: int = Field(default=0, ge=0)
    """Updates over which the learning rate rises linearly from 0."""
    schedule: Literal["constant", "cosine"] = "constant"
    """After the warm-up: constant, or cosine to min_learning_rate over the run."""
    min_learning_rate: float = Field(default=0.0, ge=0)
    """Final learning rate of the cosine schedule."""
    beta1: float = Field(default=0.9, ge=0, lt=1)
    """AdamW beta1."""
    beta2: float = Field(default=0.95, ge=0, lt=1)
    """AdamW beta2."""
    eps: float = Field(default=1e-8, gt=0)
    """AdamW epsilon."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay on matrices."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Gradient clipping by global norm."""
    master_weights: bool = True
    """Update float32 copies of bfloat16 weights; without, rates below 1e-4 are rounded away."""
    offload: bool = False
    """Float32 weights and moments (12 bytes a parameter) and the update are the host's."""

    def check_offload(self, dtype: str) -> None:
        """PonderError where the host would update parameters of ``dtype`` that are not float32."""
        if self.offload and dtype == "bfloat16" and not self.master_weights:
            fix = "the update on the host is of float32 weights: set optimizer.master_weights=true"
            raise PonderError("optimizer.offload", True, fix)


class LoraConfig(Config):
    """Low-rank adapters instead of full fine-tuning (extra ponder[lora])."""

    rank: int = Field(default=0, ge=0)
    """Rank of the adapters; 0: off, all weights are trained."""
    alpha: float = Field(default=32.0, gt=0)
    """The adapters' product is scaled by alpha / rank."""
    targets: str | list[str] = "all-linear"
    """"all-linear" (all but the head), names such as ["q_proj"], or a regular expression."""
    quantize: Literal["none", "nf4"] = "none"
    """nf4: the frozen weights in 4 bits (QLoRA; extra ponder[qlora])."""

    @model_validator(mode="after")
    def _quantizes_what_is_frozen(self) -> LoraConfig:
        if self.quantize != "none" and not self.rank:
            fix = "only frozen weights can be quantized: set lora.rank (16, say), or use none"
            raise PonderError("lora.quantize", self.quantize, fix)
        return self


class EngineConfig(Config):
    """The local engine on a GPU (its batch: sampling.max_batch_size)."""

    compile: bool = True
    """torch.compile of the decoding step (CUDA only)."""
    cuda_graphs: bool = True
    """Replay the decoding step as a CUDA graph (CUDA only)."""
    memory_gib: float = Field(default=0.0, ge=0)
    """Memory of keys and values during a rollout; 0: chosen from what is free."""


class EvalConfig(Config):
    """Held-out evaluation before, during and after training."""

    num_problems: int = Field(default=256, ge=0)
    """Held-out problems, disjoint from the training ones. 0: no evaluation."""
    k: int = Field(default=4, ge=1)
    """Samples per problem."""
    every: int = Field(default=0, ge=0)
    """Also evaluate every this many steps (on the same problems); 0: before and after only."""
    temperature: float = Field(default=1.0, ge=0)
    """Evaluation temperature inside a run (that of the rollouts, so that curves join up)."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Evaluation nucleus mass."""


class CheckpointConfig(Config):
    """When the run's state is written; at the end and on Ctrl-C it always is."""

    every: int = Field(default=0, ge=0)
    """Steps between checkpoints; 0: half a minute, longer where they would take 5 % of the time."""
    minutes: float = Field(default=10.0, gt=0)
    """After a step, a checkpoint is also written if the last one is older than this."""
    keep: int = Field(default=2, ge=1)
    """Newest checkpoints kept."""


class LogConfig(Config):
    """Optional sinks beside the run folder."""

    tensorboard: bool = False
    """Also write TensorBoard events to RUN/tensorboard (extra ponder[tensorboard])."""
    wandb_project: str | None = None
    """Also log to this Weights & Biases project (extra ponder[wandb])."""


class RLConfig(Config):
    """One RL run: R1-Zero on a laptop, or a stage of R1."""

    kind: Literal["rl"] = "rl"
    """What this recipe does."""
    name: str = "rl"
    """Name of the run; its folder is runs/NAME-TIME unless ``out`` says otherwise."""
    out: Path | None = None
    """Run folder."""
    model: str = "base-tiny"
    """"base-tiny", "base-bilingual" (bundled), "smollm2", a folder, or a hub id."""
    seed: int = Field(default=0, ge=0)
    """Everything random follows from it."""
    steps: int = Field(default=100, ge=1)
    """Rollout batches."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: cuda if there is one."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of parameters and compute; see optimizer.master_weights for bfloat16."""
    threads: int = Field(default=0, ge=0)
    """CPU threads of torch; 0: the number of physical cores. Part of bit-exactness."""
    unsafe: bool = False
    """Run programs that the model writes even where this machine cannot isolate them."""
    problems: ProblemsConfig = ProblemsConfig()
    template: TemplateConfig = TemplateConfig()
    sampling: SamplingConfig = SamplingConfig()
    reward: RewardConfig = RewardConfig()
    preference: PreferenceConfig = PreferenceConfig()
    judge: EndpointConfig | None = None
    """The endpoint that judges problems with verifier = "judge": {url = "...", model = "..."}."""
    algorithm: AlgorithmConfig = AlgorithmConfig()
    batch: BatchConfig = BatchConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    lora: LoraConfig = LoraConfig()
    engine: EngineConfig = EngineConfig()
    eval: EvalConfig = EvalConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    log: LogConfig = LogConfig()

    @model_validator(mode="after")
    def _consistent(self) -> RLConfig:
        buffer = self.reward.overlong_buffer_tokens
        if self.reward.overlong and not 0 < buffer < self.sampling.max_completion_tokens:
            raise PonderError(
                "reward.overlong_buffer_tokens",
                buffer,
                f"must be between 1 and {self.sampling.max_completion_tokens - 1} "
                "(sampling.max_completion_tokens - 1) when reward.overlong is not 0",
            )
        return self

    @model_validator(mode="after")
    def _general_problems_have_company(self) -> RLConfig:
        """What can be said of a mixture's general problems before anything is opened."""
        verifier, start = self.problems.verifier, self.preference.start
        if verifier in PREFERENCES:
            fix = (
                "a reward model judges some problems of a mixture beside others that rules check: "
                f'use problems.mixture, and verifier = "{verifier}" in its entry'
            )
            raise PonderError("problems.verifier", verifier, fix)
        asked = {entry.get("verifier") for entry in self.problems.mixture or ()}
        if not asked & set(PREFERENCES):
            return self
        if self.algorithm.dynamic_sampling:
            fix = (
                "it looks for groups with right and wrong answers, which general problems have not"
            )
            raise PonderError("algorithm.dynamic_sampling", True, f"{fix}: set it to false")
        first = self.preference.first_step(self.steps)
        if first >= self.steps:
            fix = f"general problems would begin at step {first} of {self.steps}: make it smaller"
            raise PonderError("preference.start", start, fix)
        if first and asked <= set(PREFERENCES):
            fix = "before it there is nothing to ask: give the mixture reasoning problems, or use 0"
            raise PonderError("preference.start", start, fix)
        return self

    @model_validator(mode="after")
    def _offloads_master_weights(self) -> RLConfig:
        self.optimizer.check_offload(self.dtype)
        return self

    @model_validator(mode="after")
    def _adapters_have_one_reference(self) -> RLConfig:
        every = self.algorithm.reference_every
        if self.lora.rank and self.algorithm.kl_coef and every:
            fix = "with lora.rank the reference is the base without adapters, for good: set it to 0"
            raise PonderError("algorithm.reference_every", every, fix)
        return self
