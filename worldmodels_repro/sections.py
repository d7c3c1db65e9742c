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


Policy = Annotated[str, _OneOf("network", "brownian", "held", "controller", "candidates",
                               "scripted")]
GameName = Annotated[str, _OneOf(
    "car_racing", "take_cover", "pong", "cube_crash", "cart_pole", "acrobot", "pendulum",
    "lunar_lander", "lunar_lander_continuous")]
Feature = Literal["z", "h", "c", "o", "f"]
World = Literal["real", "dream", "forward"]
WORLDS: dict[str, str] = {"real": "the game", "dream": "M's dream",
                          "forward": "frames that a network predicts"}
"""Each ``World`` in words."""
TrackerName = Annotated[str, _OneOf("tensorboard", "wandb", "mlflow")]

# How a key may differ from the one that artefacts were made with:
SPEED: dict[str, Any] = {"resume": "speed"}  # never changes a result: free at any time
MORE: dict[str, Any] = {"resume": "more"}  # more of the same: its own stage goes on
END: dict[str, Any] = {"resume": "end"}  # the same, and less while its stage is not done

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
Chance = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(gt=0, le=1)]


def in_words(world: str, temperature: float) -> str:
    """A ``World``, and how hard it is where that can be set: M's dream at temperature 1.15."""
    return WORLDS[world] + (f" at temperature {temperature:g}" if world == "dream" else "")


class Section(BaseModel):
    """Settings that are checked to the letter: no unknown key, no silent conversion."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True,
                              use_attribute_docstrings=True, allow_inf_nan=False)


class Rollouts(Section):
    """Stage 1: episodes of the game, played by something that need not be good at it."""

    policies: dict[Policy, Annotated[int, Field(ge=0)]] = Field(
        default={"network": 10_000}, json_schema_extra=MORE)
    """Episodes to collect with each policy: network, brownian, held, controller, candidates,
    scripted (a game's own player, where it has one), or a way to make your own at
    path/to/file.py:NAME."""
    keep: str | None = None
    """A run folder whose episodes are this run's too, beside its own (None: its own alone)."""
    recorded: str | None = None
    """Episodes recorded elsewhere that are this run's too: an .npz of frames, actions, rewards and
    terminated, a folder of such files, or minari:NAME (None: none)."""
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
    """controller, candidates: the run folder whose V, M and C drive; of several, an episode each in
    turn. For candidates each episode's C is a draw from where that run's CMA-ES had come to."""
    agent_noise: Annotated[float, Field(ge=0, le=2)] = 0.0
    """controller: noise on the agent's actions, an Ornstein-Uhlenbeck walk; each episode's standard
    deviation is uniform from 0 to this."""

    stochasticity: tuple[Chance, Chance] = (0.5, 1.0)
    """scripted: each episode's share of uniformly random actions is uniform in this range."""

    @model_validator(mode="after")
    def _agent_is_named(self) -> Rollouts:
        driven = [name for name in ("controller", "candidates") if self.policies.get(name)]
        if driven and self.agent is None:
            raise ValueError(f"rollouts.policies asks for the {driven[0]}: name the run folder "
                             "that holds it with rollouts.agent, e.g. --set "
                             "rollouts.agent=logs/quick")
        return self

    @model_validator(mode="after")
    def _settings_mean_something(self) -> Rollouts:
        asked = {name for name, episodes in self.policies.items() if episodes}
        if self.agent and not asked & {"controller", "candidates"}:
            raise ValueError("rollouts.agent does nothing without the controller's or candidates' "
                             "episodes: ask for some in rollouts.policies, or set "
                             "rollouts.agent=null")
        if self.agent_noise and "controller" not in asked:
            raise ValueError("rollouts.agent_noise does nothing without the controller's episodes: "
                             "ask for some in rollouts.policies, or set rollouts.agent_noise=0.0")
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
    endings: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the training windows that are drawn among those which hold an ending. They weigh
    less in turn, so that probabilities stay what they are."""
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
    fresh: Positive | None = None
    """Learn from so many episodes at a time that workers play meanwhile, in place of stored ones;
    rollouts says how, and rollouts.policies in which proportion who (None: from stored ones)."""
    renew: Positive = 64
    """fresh: how many of them give way to newer ones at each validation."""
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
        if self.fresh is not None and self.renew > self.fresh:
            raise ValueError(f"forward.renew={self.renew} is more than there are: set it to "
                             f"forward.fresh={self.fresh} or less")
        if self.outcome_weight != 1e-3 and not self.outcomes:
            raise ValueError("forward.outcome_weight does nothing without outcomes: set "
                             "forward.outcomes=true, or forward.outcome_weight=0.001")
        return self

    @property
    def seen(self) -> int:
        """Frames before the first that is predicted: one beside the serve."""
        return 1 if self.context == "serve" else self.context


class Frames(Section):
    """Frames for those without V: what C sees where controller.inputs is [f], and what pretrain
    learns from."""

    stack: Annotated[int, Field(ge=1, le=16)] = 4
    """Frames seen together; an episode's first stands for those before it."""
    gray: bool = True
    """Gray, or in colours."""
    background: bool = False
    """Take the episode's first frame away: what is left is what has moved."""
    skip: Positive = 1
    """Steps of the game from one look to the next, all with the same action; learn and evolve then
    count looks."""
    layers: Literal["atari", "pooled", "deep_tamer", "strided", "strided_2", "strided_1"] = "atari"
    """The convolutions that see them, a table in models/convolutions.py."""
    latent: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Numbers that a dense layer behind them gives (None: what the last convolution leaves)."""


Pretrained = Literal["autoencoder", "transition", "decoder", "regressor"]


class Pretrain(Section):
    """Stage pretrain: networks that learn from random play before C does."""

    networks: tuple[Pretrained, ...] = ()
    """autoencoder: frames to frames through few numbers (M1); transition: what is seen and what is
    done to what is seen next (M2); decoder: the game's state to a frame; regressor: frames to the
    state."""
    sees: Literal["o", "f"] = "o"
    """transition: what moves on, the game's state o, or the autoencoder's numbers of frames f."""
    hidden: Annotated[tuple[Positive, ...], Field(min_length=1)] = (256, 256)
    """transition, decoder, regressor: units of their dense layers; the decoder takes the last ones
    for pixels, 8x8 of them."""
    activation: Literal["relu", "tanh"] = "relu"
    """Of those layers."""
    normalise: bool = True
    """States are taken less their mean and over their deviation, one of each for all numbers."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of what the first layers that draw frames leave out in training."""
    steps: Positive = Field(default=10_000, json_schema_extra=MORE)
    """Gradient steps of each network."""
    batch: Positive = 32
    """Examples in a step."""
    shuffle: bool = True
    """Examples of a step are drawn from all episodes; false: they follow each other."""
    learning_rate: Rate = 1e-3
    """Adam's."""
    validation: Share = 0.1
    """Share of the episodes held out, whole."""
    validate_every: Positive = 500
    """Steps between validations (and checkpoints)."""

    @model_validator(mode="after")
    def _each_once(self) -> Pretrain:
        if len(set(self.networks)) != len(self.networks):
            raise ValueError("pretrain.networks takes each name once")
        if self.sees == "f" and "autoencoder" not in self.networks:
            raise ValueError("pretrain.sees=f is of the autoencoder's numbers: have autoencoder in "
                             "pretrain.networks, or set pretrain.sees=o")
        if "decoder" in self.networks and self.hidden[-1] % 64:
            raise ValueError("the decoder draws pretrain.hidden's last units as 8x8 pixels: make "
                             "them 64, or a multiple of it")
        return self


class Controller(Section):
    """C: how it comes to be, what it sees, and the evolved one's optional hidden layer."""

    by: Literal["cma_es", "ppo", "dqn", "td3"] = "cma_es"
    """cma_es: the stage evolve makes C as the paper does; ppo: the same C there, by the gradient of
    what its noisy actions bring; dqn, td3: the stage learn makes it, and its layers are learn's.
    DQN picks from a game's choices, PPO and TD3 give numbers in their ranges."""
    inputs: tuple[Feature, ...] = ("z", "h")
    """What C sees, in this order: z, M's hidden state h, M's cell state c; or [o], the game's own
    state, where it has one; or [f], frames as the section frames says: then there are no V and no
    M, and no rollouts but for what pretrain learns from."""
    encoder: Literal["fresh", "tuned", "frozen"] = "fresh"
    """[f]: what sees the frames is the first part of C's network, learnt with it from nothing
    (fresh) or from what pretrain's autoencoder has learnt (tuned); or it is that, and C sees its
    numbers (frozen)."""
    hidden: Annotated[int, Field(ge=0)] = 0
    """Units of a tanh layer between (0: linear, the paper's)."""
    bias: bool = True
    """Whether layers have biases."""

    @model_validator(mode="after")
    def _inputs_differ(self) -> Controller:
        if not self.inputs or len(set(self.inputs)) != len(self.inputs):
            raise ValueError("controller.inputs takes one or more of z, h, c, each once")
        for alone, what in (("o", "the game's state"), ("f", "frames")):
            if alone in self.inputs and len(self.inputs) > 1:
                raise ValueError(f"controller.inputs takes {alone}, {what}, alone: set "
                                 f"controller.inputs=[{alone}]")
        if self.encoder != "fresh" and self.inputs != ("f",):
            raise ValueError(f"controller.encoder={self.encoder} sees frames: set "
                             "controller.inputs=[f], or controller.encoder=fresh")
        if self.stage == "evolve" and self.inputs == ("f",) and self.encoder != "frozen":
            raise ValueError(f"{self.by} can't find what sees frames: set "
                             "controller.encoder=frozen, or controller.by to dqn or td3")
        return self

    @property
    def sees_v(self) -> bool:
        """Whether C sees what V (and M) make of frames."""
        return not {"o", "f"} & set(self.inputs)

    @property
    def sees_frames(self) -> bool:
        """Whether what sees frames is a part of C's own network."""
        return self.inputs == ("f",) and self.encoder != "frozen"

    @property
    def stage(self) -> Literal["evolve", "learn"]:
        """The stage that makes C."""
        return "evolve" if self.by in ("cma_es", "ppo") else "learn"


class Evolve(Section):
    """Stage 5: CMA-ES on C (appendix A.4), or PPO on it (section ppo)."""

    world: World = "real"
    """Where C evolves: in the real game, in M's dream of it (section 4), or, forward, in the frames
    that a network predicts, which V or C see as they see the game's."""
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
    worst: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Fitness is the mean over this share of a candidate's episodes, its worst (1: over all)."""
    sift: Positive = 1
    """real: ask for so many times the population, have all of them dream, and let those that
    dream best play the game (1: all play)."""
    sift_rollouts: Positive = 16
    """Dreams of each candidate that is sifted."""
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
    precision: Literal["f32", "bf16", "int8"] = "f32"
    """Arithmetic of V's encoder and of M's products in the workers; bf16 is f32 on a CPU without
    bfloat16, int8 is the encoder's alone."""
    evaluate_every: Positive = 25
    """Generations between evaluations of the CMA mean."""
    evaluate_rollouts: Positive = 1024
    """Episodes of each such evaluation, on fixed tracks that training never sees."""
    start: str | None = None
    """A run folder whose agent to start from (None: all weights zero)."""
    start_spread: bool = False
    """Start where that run's CMA-ES had come to, not at its agent: the mean and the covariance, as
    wide as evolve.sigma says."""
    slots: Positive = 16
    """Episodes that a worker steps in lockstep; dreams are fastest with 128 or more."""
    chunk: Annotated[int, Field(ge=0)] = Field(default=0, json_schema_extra=SPEED)
    """Episodes a worker takes at a time (0: its whole share of a generation)."""
    workers: Annotated[int, Field(ge=0)] = Field(default=0, json_schema_extra=SPEED)
    """Worker processes, for every stage (0: one a core)."""
    hang_after: Annotated[int, Field(ge=0)] = Field(default=1800, json_schema_extra=SPEED)
    """Seconds without a result after which workers count as hung, for every stage (0: never)."""

    @model_validator(mode="after")
    def _starts_and_sifts_mean_something(self) -> Evolve:
        if self.start_spread and (self.start is None or self.diagonal):
            raise ValueError("evolve.start_spread needs a run to start from and a whole "
                             "covariance: set evolve.start and evolve.diagonal=false, or "
                             "evolve.start_spread=false")
        if self.sift > 1 and self.world != "real":
            raise ValueError("evolve.sift is for C that evolves in the game: set "
                             "evolve.world=real, or evolve.sift=1")
        return self

    @property
    def worlds(self) -> tuple[World, World]:
        """Where C evolves, and where its mean is evaluated."""
        return self.world, self.select or self.world


class Ppo(Section):
    """Stage 5 where controller.by is ppo. Where C learns, how long and how it is evaluated stands
    in evolve; population, rollouts, worst, sift, sigma and others of CMA-ES's do nothing."""

    episodes: Positive = 64
    """Whole episodes between updates."""
    epochs: Positive = 3
    """Times an update goes through their steps."""
    batch: Positive = 2048
    """Steps in a gradient step."""
    kl: Annotated[float, Field(gt=0)] = 0.005
    """How far an update shall move the policy, in nats: the rate of C and its noise follows."""
    learning_rate: Rate = 1e-3
    """Adam's at first, and of the critic, which tells what a state is worth, throughout."""
    critic: Positive = 128
    """Its tanh units."""
    gamma: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Discount of the rewards to come, a step."""
    trace: Annotated[float, Field(ge=0, le=1)] = 0.95
    """lambda: 1 trusts what came, 0 what the critic thinks of the next state."""
    clip: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """An action that has become so much likelier, or less, is not moved on."""
    sigma: Annotated[float, Field(gt=0)] = 1.0
    """First deviation of the noise on what C gives before tanh; it is learnt, too."""
    entropy: Annotated[float, Field(ge=0)] = 0.001
    """What a nat more of noise is worth."""


class Learn(Section):
    """Stage 5 where controller.by is dqn or td3. Where C learns, and how it is shown there, stands
    in evolve: world, temperature, drawn_endings, dropout, select, max_steps, sample_z, renderer."""

    steps: Positive = Field(default=50_000, json_schema_extra=END)
    """Steps of the game after which no episode begins."""
    episodes: Positive | None = Field(default=None, json_schema_extra=END)
    """Episodes after which none begins (None: no limit)."""
    layers: Annotated[tuple[Positive, ...], Field(min_length=1)] = (64,)
    """Units of the layers between what C sees and what it gives; TD3's critics have the same."""
    activation: Literal["relu", "tanh"] = "relu"
    """Of those layers: relu with He's first weights, tanh with Xavier's."""
    double: bool = True
    """dqn: the next action is chosen by the network, and valued by its target (double Q)."""
    dueling: bool = False
    """dqn: a value of the state and an advantage of each choice, in place of a value of each."""
    gamma: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Discount of the rewards to come, a step."""
    learning_rate: Rate = 5e-4
    """Adam's."""
    clip: Annotated[float, Field(gt=0)] | None = None
    """The gradient of each array of weights is scaled down to this norm (None: never)."""
    batch: Positive = 32
    """Transitions in an update."""
    delay: Positive = 1000
    """Steps before the first update."""
    every: Annotated[int, Field(ge=0)] = 1
    """Steps between updates (0: at an episode's end, as many as it had steps)."""
    updates: Positive = 1
    """Updates each time."""
    target_every: Positive = 1000
    """dqn: steps after which the target becomes the network."""
    epsilon: tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]] = (
        1.0, 0.01)
    """dqn: share of actions that are uniformly random, at first and at last ..."""
    epsilon_steps: Positive = 10_000
    """... reached in a straight line after so many steps."""
    softmax: Annotated[float, Field(ge=0)] | None = None
    """dqn: the other actions are drawn in proportion to exp(softmax * Q) (None: the best one)."""
    random_steps: Annotated[int, Field(ge=0)] = 10_000
    """td3: steps at the start whose actions are uniformly random."""
    noise: Annotated[float, Field(ge=0)] = 0.1
    """td3: standard deviation of the noise on actions, whose range is from -1 to 1 here."""
    target_noise: Annotated[float, Field(ge=0)] = 0.2
    """td3: the same of the target's actions ..."""
    target_clip: Annotated[float, Field(ge=0)] = 0.5
    """... which is clipped to this."""
    policy_every: Positive = 2
    """td3: updates of the critics for each of the actor and of the targets."""
    polyak: Annotated[float, Field(ge=0, lt=1)] = 0.995
    """td3: share of a target that stays at each of those."""
    next: Literal["none", "beside", "late", "alone"] = "none"
    """td3: how the critics are told what pretrain's transition network expects next: beside what C
    sees and does; late, behind their first layer; alone, in place of both."""
    ahead: Annotated[int, Field(ge=1, le=20)] = 1
    """td3: steps that they are told of; from the second on the policy acts."""
    end_reward: float | None = None
    """Learnt in place of the reward of a step that ends the episode (None: the game's own)."""
    buffer: Positive = 50_000
    """Transitions that are remembered."""
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.0
    """They are drawn in proportion to |error|^alpha (0: uniformly) ..."""
    beta: Annotated[float, Field(ge=0, le=1)] = 0.5
    """... and weigh (N P)^-beta, the largest weight of a batch being 1."""
    omega: Annotated[float, Field(gt=0, le=1)] | None = None
    """Retention: half of the memory keeps what the policy would not do any more; this share is
    drawn from the half that forgets the oldest (None: all of it is that)."""
    evaluate_every: Positive = 5000
    """Steps between evaluations of the policy without exploration; the best one is the agent."""
    evaluate_rollouts: Positive = 16
    """Episodes of each such evaluation, on seeds that training never sees."""
    threads: Annotated[int, Field(ge=0)] = Field(default=1, json_schema_extra=SPEED)
    """TensorFlow's threads (0: one a core); small networks are fastest with one."""

    @model_validator(mode="after")
    def _memory_serves(self) -> Learn:
        least = self.batch * (1 if self.omega is None else 2)
        if self.buffer < least:
            raise ValueError(f"learn.buffer={self.buffer} is smaller than a batch of {self.batch}"
                             f"{'' if self.omega is None else ' in each half'}: set learn.buffer="
                             f"{least} or more")
        if self.next == "none" and self.ahead > 1:
            raise ValueError("learn.ahead does nothing with learn.next=none: set learn.ahead=1, or "
                             "learn.next to beside, late or alone")
        if self.every == 0 and self.updates > 1:
            raise ValueError("learn.updates does nothing with learn.every=0, where an episode's "
                             "steps say how many: set learn.updates=1")
        return self


class Evaluate(Section):
    """Stage 6: the agent on held-out tracks of the unmodified environment."""

    episodes: Positive = Field(default=100, json_schema_extra=MORE)
    """Held-out tracks."""
    random_episodes: Annotated[int, Field(ge=0)] = Field(default=16, json_schema_extra=MORE)
    """Tracks that the random policy drives, for the same table."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Picks the held-out tracks; the same for all runs, so that runs compare."""
    changed: str | None = None
    """Judge in a world that the agent does not know (`worldmodels evaluate --worlds` tries all of a
    game's): colours, bars, blob, noise; CarRacing: friction; TakeCover: text."""
