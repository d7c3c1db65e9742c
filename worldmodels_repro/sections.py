"""Settings, a section a stage: every key typed and explained where it is declared."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import core_schema

from worldmodels_repro.plugins import is_plugin


class _OneOf:
    """Checks a name: one of these, or the place of a user's own; and says so in the schema."""

    def __init__(self, *names: str):
        self._names = names

    def __call__(self, name: str) -> str:
        if name in self._names or is_plugin(name):
            return name
        raise ValueError(f"{name!r} is not known: {', '.join(self._names)} are, or "
                         "path/to/file.py:NAME")

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return core_schema.no_info_after_validator_function(self, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "string", "anyOf": [{"enum": list(self._names)},
                                            {"pattern": r"\.py:[A-Za-z_]\w*$"}]}


Policy = Annotated[str, _OneOf("network", "brownian", "held", "controller", "scripted")]
GameName = Annotated[str, _OneOf("car_racing", "take_cover", "pong", "cube_crash")]
Feature = Literal["z", "h", "c"]
World = Literal["real", "dream"]
TrackerName = Annotated[str, _OneOf("tensorboard", "wandb", "mlflow")]

# How a key may differ from the one that artefacts were made with:
SPEED: dict[str, Any] = {"resume": "speed"}  # never changes a result: free at any time
MORE: dict[str, Any] = {"resume": "more"}  # more of the same: its own stage goes on
END: dict[str, Any] = {"resume": "end"}  # the same, and less while its stage is not done

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
Chance = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(gt=0, le=1)]


class Section(BaseModel):
    """Settings that are checked to the letter: no unknown key, no silent conversion."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True,
                              use_attribute_docstrings=True, allow_inf_nan=False)


class Rollouts(Section):
    """Stage 1: episodes of the game, played by something that need not be good at it."""

    policies: dict[Policy, Annotated[int, Field(ge=0)]] = Field(
        default={"network": 10_000}, json_schema_extra=MORE)
    """Episodes to collect with each policy: network, brownian, held, controller, scripted (a game's
    own player, where it has one), or a way to make your own at path/to/file.py:NAME."""
    renderer: Literal["fast", "original"] = "fast"
    """fast: the game's own dynamics, the picture in less time; original: the game's own."""
    max_steps: Positive = 1000
    """Steps after which an episode is cut."""
    min_steps: Positive = 1
    """Shorter episodes are played but not kept."""
    patience: Annotated[int, Field(ge=0)] = 0
    """End an episode after so many steps in a row without a gain; 0 never does."""
    held_steps: tuple[Positive, Positive] = (1, 10)
    """held: each uniform action lasts a uniform number of steps in this range."""
    brownian_dt: Rate = 0.02
    """brownian: a += sqrt(dt) N(0, 1), clipped to the action space."""
    agent: str | Annotated[list[str], Field(min_length=1)] | None = None
    """controller: the run folder whose V, M and C drive; of several, an episode each in turn."""
    agent_noise: Annotated[float, Field(ge=0, le=2)] = 0.0
    """controller: noise on the agent's actions, an Ornstein-Uhlenbeck walk; each episode's standard
    deviation is uniform from 0 to this."""

    stochasticity: tuple[Chance, Chance] = (0.5, 1.0)
    """scripted: each episode's share of uniformly random actions is uniform in this range."""

    @model_validator(mode="after")
    def _agent_is_named(self) -> Rollouts:
        if self.policies.get("controller") and self.agent is None:
            raise ValueError("rollouts.policies asks for the controller: name the run folder that "
                             "holds it with rollouts.agent, e.g. --set rollouts.agent=logs/quick")
        return self

    @model_validator(mode="after")
    def _settings_mean_something(self) -> Rollouts:
        if not self.policies.get("controller") and (self.agent or self.agent_noise):
            raise ValueError("rollouts.agent and rollouts.agent_noise do nothing without the "
                             "controller's episodes: ask for some in rollouts.policies, or set "
                             "rollouts.agent=null and rollouts.agent_noise=0.0")
        if self.held_steps[0] > self.held_steps[1]:
            raise ValueError("rollouts.held_steps takes the fewest steps, then the most, "
                             "e.g. --set rollouts.held_steps=[1,10]")
        if self.stochasticity[0] > self.stochasticity[1]:
            raise ValueError("rollouts.stochasticity takes the least share, then the most, "
                             "e.g. --set rollouts.stochasticity=[0.5,1.0]")
        if self.min_steps > self.max_steps:
            raise ValueError("no episode is kept that is cut before rollouts.min_steps: set "
                             "rollouts.min_steps to rollouts.max_steps or less")
        return self

    @property
    def agents(self) -> list[str]:
        """The run folders of ``agent``."""
        return [self.agent] if isinstance(self.agent, str) else self.agent or []


class Vae(Section):
    """Stage 2: V, the variational autoencoder (appendix A.1)."""

    z: Annotated[int, Field(ge=1, le=1024)] = 32
    """Latent dimensions."""
    layers: str = "paper"
    """The table of V's layers: the paper's, or your own Layers at path/to/file.py:NAME."""
    epochs: Positive = Field(default=10, json_schema_extra=MORE)
    """Passes over the training frames."""
    frames_per_epoch: Positive | None = None
    """Stop an epoch after so many frames (None: all of them)."""
    batch: Positive = 100
    """Frames a step."""
    learning_rate: Rate = 1e-4
    """Adam's."""
    cool: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Over this last share of the epochs the rate falls to a hundredth, in a straight line."""
    kl_tolerance: Annotated[float, Field(ge=0)] = 0.5
    """The KL term is max(KL, kl_tolerance * z): a budget each latent may spend freely."""
    square_weight: Annotated[float, Field(gt=0)] = 1.0
    """Weight of the sum of squared errors."""
    fourth_weight: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the sum of errors to the fourth power, added to it: a small thing missed whole
    then weighs more than a large one that is a little off."""
    late: tuple[Positive, Share] | None = None
    """[N, share]: at least this share of the frames are of step N or later (None: as they are)."""
    mirror: bool = False
    """Half of the training frames are mirrored, left to right, where the game is symmetric."""
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    """Arithmetic of the layers; weights and losses are float32 either way. A CPU without bfloat16
    trains in float32 whatever is asked."""
    validation: Share = 0.05
    """Share of the episodes held out, whole, to choose the best epoch."""
    validation_frames: Positive = 10_000
    """At most so many frames of the held-out episodes are scored each epoch."""
    pool_mib: Annotated[int, Field(ge=16)] = 768
    """Memory of the shuffle pool that frames are drawn from, in MiB."""
    start: str | None = None
    """A run folder whose V to start from (None: from scratch)."""


class Memory(Section):
    """Stage 4: M, the mixture-density recurrent network (appendix A.2)."""

    units: Positive = 256
    """LSTM units."""
    mixtures: Positive = 5
    """Gaussians for each latent dimension."""
    steps: Positive = Field(default=4000, json_schema_extra=MORE)
    """Gradient steps."""
    batch: Positive = 100
    """Sequences a step."""
    sequence: Positive = 999
    """Steps of a sequence; shorter episodes are padded and masked."""
    learning_rate: Rate = 1e-3
    """Adam's, at the first step."""
    decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The rate is multiplied by this each step ..."""
    min_learning_rate: Rate = 1e-5
    """... down to this."""
    cool: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Over this last share of the steps the rate also falls to a hundredth, in a straight line."""
    clip: Annotated[float, Field(gt=0)] = 1.0
    """Gradients are clipped, element by element, to this magnitude."""
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    """Arithmetic of the layers; weights and losses are float32 either way. A CPU without bfloat16
    trains in float32 whatever is asked."""
    restart_input: bool = False
    """M also sees whether the step is an episode's first (the paper's Doom M); sequences then
    run on from one episode to the next."""
    taken_actions: bool = False
    """M sees what the game makes of an action (Doom: -1, 0 or 1), not the number that C gave."""
    done: bool = False
    """A head for 'the episode ends with this step' (an episode that is cut does not)."""
    done_weight: Annotated[float, Field(gt=0)] = 10.0
    """Weight of the rare ending steps in that head's cross-entropy."""
    reward: bool = False
    """A head for the step's reward (squared error)."""
    reward_clip: Annotated[float, Field(gt=0)] = 10.0
    """That head learns rewards no larger than this, either way: one -100 would drown the rest."""
    foresight: tuple[Positive, ...] = ()
    """Also learn, from M's state, whether the episode ends within so many steps, for each of these:
    so that the state holds on to what is coming. For training alone; needs memory.done."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of z's dimensions, and of h's before the mixture, that a training window lacks, the
    same ones for all of its steps."""
    mirror: bool = False
    """Half of the training windows are mirrored, actions too; needs latents of vae.mirror=true."""
    validation: Share = 0.05
    """Share of the episodes held out, whole."""
    validate_every: Positive = 200
    """Steps between validations (and checkpoints)."""
    start: str | None = None
    """A run folder whose M to start from (None: from scratch)."""

    @model_validator(mode="after")
    def _weighted_heads_are_there(self) -> Memory:
        for head, setting in (("done", "done_weight"), ("reward", "reward_clip")):
            default = type(self).model_fields[setting].default
            if not getattr(self, head) and getattr(self, setting) != default:
                raise ValueError(f"memory.{setting} does nothing without that head: set "
                                 f"memory.{head}=true, or memory.{setting}={default}")
        if self.foresight and not self.done:
            raise ValueError("memory.foresight is of endings: set memory.done=true, or drop it")
        return self


class Forward(Section):
    """Stage forward: a network that predicts frames, one step after another."""

    network: Literal["rnn_deconv", "rnn_dense", "frame_transform", "spatial_transformer",
                     "assets"] = "rnn_deconv"
    """Which: a file each in models/forward/."""
    side: Literal[32, 64] = 32
    """Pixels of a predicted frame's side; 32 takes V's frames at half their size."""
    context: Literal[1, 2, 3, "serve"] = 2
    """Frames it is shown before it predicts, or what the game's serve tells in their place."""
    units: Positive = 64
    """Of the hidden state."""
    embedding: Positive = 32
    """Numbers that an action becomes."""
    filters: Positive = 32
    """spatial_transformer: of the convolutions that see a frame."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """frame_transform, spatial_transformer: share of what is seen of a frame that training leaves
    out."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Targets are drawn towards a half by this share."""
    outcomes: bool = True
    """Also learn each step's reward, and whether the episode ends with it."""
    outcome_weight: Annotated[float, Field(gt=0)] = 1e-3
    """Weight of these in the loss, beside the mean cross-entropy of a pixel's colour."""
    steps: Positive = Field(default=50_000, json_schema_extra=MORE)
    """Gradient steps."""
    batch: Positive = 32
    """Windows a step."""
    sequence: Positive = 64
    """Steps of a window; shorter episodes are padded and masked."""
    compared: Positive | None = None
    """Frames of each window that are drawn and compared, at random (None: all of them)."""
    learning_rate: Rate = 1e-3
    """Adam's, at the first step."""
    divide_every: Positive = 15_000
    """After each so many steps the rate is divided by one more: 1, 2, 3 ..."""
    validation: Share = 0.05
    """Share of the episodes held out, whole."""
    validate_every: Positive = 500
    """Steps between validations (and checkpoints)."""
    start: str | None = None
    """A run folder whose network to start from (None: from scratch)."""

    @model_validator(mode="after")
    def _context_is_seen(self) -> Forward:
        if self.context == "serve" and self.network in ("frame_transform", "spatial_transformer"):
            raise ValueError(f"{self.network} needs a frame to start from: set forward.context to "
                             "1, 2 or 3, or take another forward.network")
        if self.dropout and self.network not in ("frame_transform", "spatial_transformer"):
            raise ValueError(f"forward.dropout does nothing in {self.network}: set it to 0.0, or "
                             "take frame_transform or spatial_transformer")
        if self.outcome_weight != 1e-3 and not self.outcomes:
            raise ValueError("forward.outcome_weight does nothing without outcomes: set "
                             "forward.outcomes=true, or forward.outcome_weight=0.001")
        return self

    @property
    def seen(self) -> int:
        """Frames before the first that is predicted: one beside the serve."""
        return 1 if self.context == "serve" else self.context


class Controller(Section):
    """C: what it sees and its one optional hidden layer."""

    inputs: tuple[Feature, ...] = ("z", "h")
    """What C sees, in this order: z, M's hidden state h, M's cell state c."""
    hidden: Annotated[int, Field(ge=0)] = 0
    """Units of a tanh layer between (0: linear, the paper's)."""
    bias: bool = True
    """Whether layers have biases."""

    @model_validator(mode="after")
    def _inputs_differ(self) -> Controller:
        if not self.inputs or len(set(self.inputs)) != len(self.inputs):
            raise ValueError("controller.inputs takes one or more of z, h, c, each once")
        return self


class Evolve(Section):
    """Stage 5: CMA-ES on C (appendix A.4)."""

    world: World = "real"
    """Where C evolves: in the real game, or in M's dream of it (section 4)."""
    temperature: Annotated[float, Field(ge=0.01, le=10)] = 1.0
    """dream: mixture logits are divided by it, noise is scaled by its root; more is harder."""
    drawn_endings: bool = False
    """dream: an episode ends by a draw with M's probability of it, in place of where M's logit is
    above 0 (the paper's): C also learns to avoid what M only fears."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """dream: each dream lacks this share of what memory.dropout leaves out, from its first step to
    its last: an M of its own for every dream."""
    select: World | None = None
    """Where the CMA mean is evaluated, which picks the agent (None: where C evolves)."""
    generations: Positive = Field(default=1800, json_schema_extra=END)
    """Generations to evolve."""
    budget: Positive | None = Field(default=None, json_schema_extra=END)
    """Training steps after which no generation begins (None: no limit): ablations share one."""
    population: Annotated[int, Field(ge=4)] = 64
    """Candidates a generation."""
    rollouts: Positive = 16
    """Episodes a candidate; fitness is their mean."""
    sigma: Annotated[float, Field(gt=0)] = 0.1
    """CMA-ES's first step size."""
    diagonal: bool = False
    """Adapt variances only (separable CMA-ES): faster at first, blind to correlations."""
    common_tracks: bool = True
    """All candidates of a generation drive the same tracks, so that luck is shared."""
    max_steps: Positive = 1000
    """Steps after which a training episode is cut."""
    patience: Annotated[int, Field(ge=0)] = 0
    """Training episodes end after so many steps in a row without a gain (0: never do)."""
    sample_z: bool = True
    """C sees a posterior sample, as in the paper, or the mean."""
    untrained_memory: bool = False
    """Ablation: M keeps its random weights."""
    renderer: Literal["fast", "original"] = "fast"
    """fast: the game's own dynamics, the picture in less time; original: the game's own."""
    precision: Literal["f32", "bf16"] = "f32"
    """Arithmetic of V's encoder and of M's products in the workers; bf16 is f32 on a CPU without
    bfloat16."""
    evaluate_every: Positive = 25
    """Generations between evaluations of the CMA mean."""
    evaluate_rollouts: Positive = 1024
    """Episodes of each such evaluation, on fixed tracks that training never sees."""
    start: str | None = None
    """A run folder whose agent to start from (None: all weights zero)."""
    slots: Positive = 16
    """Episodes that a worker steps in lockstep; dreams are fastest with 128 or more."""
    chunk: Annotated[int, Field(ge=0)] = Field(default=0, json_schema_extra=SPEED)
    """Episodes a worker takes at a time (0: its whole share of a generation)."""
    workers: Annotated[int, Field(ge=0)] = Field(default=0, json_schema_extra=SPEED)
    """Worker processes, for every stage (0: one a core)."""
    hang_after: Annotated[int, Field(ge=0)] = Field(default=1800, json_schema_extra=SPEED)
    """Seconds without a result after which workers count as hung, for every stage (0: never)."""

    @property
    def worlds(self) -> tuple[World, World]:
        """Where C evolves, and where its mean is evaluated."""
        return self.world, self.select or self.world


class Evaluate(Section):
    """Stage 6: the agent on held-out tracks of the unmodified environment."""

    episodes: Positive = Field(default=100, json_schema_extra=MORE)
    """Held-out tracks."""
    random_episodes: Annotated[int, Field(ge=0)] = Field(default=16, json_schema_extra=MORE)
    """Tracks that the random policy drives, for the same table."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Picks the held-out tracks; the same for all runs, so that runs compare."""
