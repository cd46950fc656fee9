"""The commands of ``blockqnn``."""

from __future__ import annotations

from nni_blockqnn.commands._light_arguments import (
    as_json,
    check_arguments,
    completion_arguments,
    config,
    create_arguments,
    demo_arguments,
    experiment,
    port,
    report_arguments,
    resume_arguments,
    retry_arguments,
    stop_arguments,
)
from nni_blockqnn.commands.parsers import Command

COMMANDS = (
    Command(
        "demo",
        "demo",
        help="search blocks for handwritten digits: a few minutes on a CPU, no download",
        description="Runs `blockqnn search digits` with few trials and short trainings. Ctrl-C "
        "stops it; the same command goes on.",
        epilog="example: blockqnn demo --trials 48 --output blockqnn-demo",
        add_arguments=demo_arguments,
    ),
    Command(
        "search",
        "whole_search",
        help="from a folder of images to a network in use",
        description="Looks at the data, searches blocks at equal cost under NNI, trains the best "
        "and the hand-made ones long, trains the winner on all training images, reads the test "
        "images once, and exports the network. Run again, the same command goes on where it was "
        "cut off, and says its result once it is finished.",
        epilog="examples: blockqnn search photos --hours 2 -o found; "
        "blockqnn search digits --hours 0.1 -o found",
        add_arguments=port,
        has_late_arguments=True,
    ),
    Command(
        "init",
        "whole_search",
        help="write the configuration that `blockqnn search` would use",
        description="Looks at the data, times trainings, and writes a commented configuration of "
        "NNI into the folder, to change and to run.",
        epilog="example: blockqnn init photos --hours 2 -o found",
        has_late_arguments=True,
    ),
    Command(
        "check",
        "search",
        help="say what would make a search hang or fail",
        description="Checks versions, the configuration, the tuner's arguments, GPUs, the trial's "
        "command, the data against the network, disk and port, and says how long the search would "
        "take here. Reads the data, and so downloads it if it is missing. Exits with 1 if the "
        "search would fail. Logs in to all machines of a remote search, and shows a table of them.",
        epilog="example: blockqnn check config_templates/blockqnn_cifar100.yml --port 8080",
        add_arguments=check_arguments,
    ),
    Command(
        "setup-hosts",
        "setup_hosts",
        help="install this package, and copy the data, on the machines of a remote search",
        description="Logs in to all machines of the configuration at once. Makes the virtual "
        "environment that pythonPath names if it is missing, installs this very package with the "
        "versions of NNI and PyTorch that are here, and copies the data. What is there already "
        "stays.",
        epilog="example: blockqnn setup-hosts config_templates/blockqnn_cifar100_remote.yml",
        add_arguments=config,
    ),
    Command(
        "create",
        "search",
        help="check a configuration, then start its search",
        description="Checks a configuration as `blockqnn check` does, then runs `nnictl create`. "
        "The web UI of a local search listens on this machine's loopback address only.",
        epilog="example: blockqnn create config_templates/blockqnn_quickstart.yml",
        add_arguments=create_arguments,
    ),
    Command(
        "resume",
        "search",
        help="go on with a search that was stopped or killed",
        description="Does what `nnictl resume` does, after a kill too: it ends what the old run "
        "left behind, takes a free port, and does not trust process ids that may belong to others "
        "now.",
        epilog="example: blockqnn resume AbCdEfGh",
        add_arguments=resume_arguments,
    ),
    Command(
        "stop",
        "experiments",
        help="stop an experiment; blockqnn resume goes on with it",
        description="Stops the experiment that is named, and no other. Its results stay.",
        epilog="example: blockqnn stop AbCdEfGh",
        add_arguments=stop_arguments,
    ),
    Command(
        "list",
        "experiments",
        help="list your experiments, newest first",
        description="Lists the searches and final trainings of this user on this machine: how each "
        "stands and how many of its trials are done.",
        epilog="examples: blockqnn list; blockqnn list --json",
        add_arguments=as_json,
    ),
    Command(
        "retry",
        "retry",
        help="run again the trials of a final training that were killed or failed",
        description="NNI runs those that ended without a result again, as new trials; each goes on "
        "from its last checkpoint, if that is on its machine. An experiment that was stopped is "
        "resumed first. A search by BlockQNN needs no retry.",
        epilog="example: blockqnn retry AbCdEfGh",
        add_arguments=retry_arguments,
    ),
    Command(
        "top",
        "top",
        help="show how an experiment stands, and its best blocks",
        description="Shows how the experiment stands, why trials failed, and the best distinct "
        "blocks, each with the result that its own trial reported; NNI's web UI may show results "
        "beside other trials' parameters.",
        epilog="examples: blockqnn top AbCdEfGh --k 5 --by accuracy --format csv > best.csv; "
        "blockqnn top AbCdEfGh --watch; blockqnn top AbCdEfGh --k 100 --output finalists.json",
        add_arguments=experiment,
        has_late_arguments=True,
    ),
    Command(
        "train",
        "train",
        help="train a block's network to convergence, without NNI",
        description="Trains with a final recipe and keeps the network that is best on validation "
        "images. --validation test is for the winner: it trains on all training images and reads "
        "the test set once, at the end.",
        epilog="examples: blockqnn train finalists.json --rank 1 --dataset cifar100 --output best; "
        "blockqnn train residual --dataset digits --epochs 5",
        has_late_arguments=True,
    ),
    Command(
        "report",
        "report",
        help="write a report of an experiment as an HTML file",
        description="Writes one page that needs nothing beside it: the paper's figures of this "
        "search, its best blocks, what failed, and what it takes to repeat it. A folder gets every "
        "figure as SVG and PNG too, and its data as CSV.",
        epilog="examples: blockqnn report AbCdEfGh -o report.html; "
        "blockqnn report AbCdEfGh -o report/",
        add_arguments=report_arguments,
    ),
    Command(
        "compare",
        "compare",
        help="compare searches in one HTML file",
        description="Writes curves with bands over seeds, costs in time and the best blocks of "
        "several searches. Those that differ in their seed alone are taken together. A final "
        "training among them adds early against final accuracy.",
        epilog="example: blockqnn compare AbCdEfGh IjKlMnOp QrStUvWx -o compare.html",
        has_late_arguments=True,
    ),
    Command(
        "draw",
        "draw",
        help="draw a block",
        description="Draws structure codes in the terminal, and as an image or as TikZ if -o names "
        "a file.",
        epilog="examples: blockqnn draw inception; "
        "blockqnn draw '[[1,1,3,0,0],[2,1,3,1,0],[3,5,0,1,2]]' -o block.svg",
        has_late_arguments=True,
    ),
    Command(
        "export",
        "export",
        help="write a trained network in forms that need nothing of this package",
        description="Writes plain PyTorch source, a torch.export program and, with the extra "
        "'onnx', ONNX, each compared with the network; weights (safetensors) and a model card.",
        epilog="example: blockqnn export trained/ -o classifier/ --formats python onnx",
        has_late_arguments=True,
    ),
    Command(
        "predict",
        "predict",
        help="say what a trained network sees in image files",
        description="Prints CSV with the header file,class,probability, one line for each image. "
        "Folders are looked through however deep. A file that is no whole image is named on stderr "
        "and passed over.",
        epilog="example: blockqnn predict found photo1.jpg photos/ > answers.csv",
        has_late_arguments=True,
    ),
    Command(
        "pilot",
        "pilot",
        help="train some blocks both ways, to find mu and rho for a search",
        description="Trains blocks that are spread over the space with the early-stop recipe and "
        "with the final one, then says what `blockqnn calibrate` says of them.",
        epilog="example: blockqnn pilot --dataset cifar100 --blocks 30 --final-epochs 60",
        has_late_arguments=True,
    ),
    Command(
        "calibrate",
        "calibrate",
        help="say how well early-stop results predict final ones, and which mu and rho would",
        description="Compares early-stop and final results of the same networks: rank correlations "
        "of accuracy, reward and costs with the final accuracy, and the weights that would have "
        "been best.",
        epilog="examples: blockqnn calibrate AbCdEfGh IjKlMnOp; "
        "blockqnn calibrate blockqnn-pilot/early-stop.jsonl blockqnn-pilot/final.jsonl",
        has_late_arguments=True,
    ),
    Command(
        "register",
        "search",
        help="make the tuner known to NNI by name",
        description="Registers the tuner, so that any NNI experiment can say "
        "`tuner: {name: BlockQNN}`.",
        epilog="example: blockqnn register",
    ),
    Command(
        "completion",
        "completion",
        help="let the shell complete commands, options and experiments",
        description="Prints a script for the shell. Write it again after an update.",
        epilog="examples: blockqnn completion bash > "
        "~/.local/share/bash-completion/completions/blockqnn; "
        "blockqnn completion fish > ~/.config/fish/completions/blockqnn.fish; "
        "blockqnn completion zsh > ~/.zfunc/_blockqnn (with ~/.zfunc in fpath)",
        add_arguments=completion_arguments,
    ),
)
"""In the order in which ``blockqnn --help`` lists them."""
