"""What a trial measures. A metric is a file with a class here and one line in METRICS.

Nothing is imported here; each module is imported by its name when it is needed.
"""

from __future__ import annotations

from bench.doors import Family

METRICS = Family(
    kind="metric",
    table={
        "fd": "bench.metrics.frechet_metric:FrechetMetric",
        "kd": "bench.metrics.kernel_metric:KernelMetric",
        "fd_inf": "bench.metrics.infinite_metric:InfiniteMetric",
        "prdc": "bench.metrics.nearest_metric:NearestMetric",
        "denoise_error": "bench.metrics.denoising_metric:DenoisingMetric",
        "reconstruction": "bench.metrics.reconstruction_metric:ReconstructionMetric",
        "box": "bench.metrics.box_metric:BoxMetric",
        "copying": "bench.metrics.copying_metric:CopyingMetric",
        "clipping": "bench.metrics.clipping:ClippingMetric",
        "psnr": "bench.metrics.psnr_metric:PSNRMetric",
        "band_psnr": "bench.metrics.band_psnr_metric:BandPSNRMetric",
        "ssim": "bench.metrics.ssim_metric:SSIMMetric",
        "dice": "bench.metrics.dice_metric:DiceMetric",
        "band_dice": "bench.metrics.band_dice_metric:BandDiceMetric",
        "hd95": "bench.metrics.hd95_metric:HD95Metric",
        "calibration": "bench.metrics.calibration_metric:CalibrationMetric",
    },
    suite="bench.metrics.metric_conformance:check",
)
EXTRACTORS = Family(
    kind="extractor",
    table={
        "drawn": "bench.metrics.drawn:build",
        "randconv": "bench.metrics.randconv:build",
        "randconv64": "bench.metrics.randconv:build_64",
        "inception": "bench.metrics.inception:build",
        "timm": "bench.metrics.timm_extractor:TimmExtractor",
    },
    suite="bench.metrics.extractors:check_extractor",
)
