from .plan import Window as Window
from .plan import choose_sample as choose_sample
from .plan import plan_windows as plan_windows
from .sample_scales import combine_scales as combine_scales
