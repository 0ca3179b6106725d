    for (i = 0; i < PREFIX_ACTION_SIZE; i++) {
        if (!prefix_within((double)action[i], (double)FLT_MAX)) return PREFIX_BAD_APPLIED_ACTION;
        action[i] = prefix_flushed(action[i]);
    }
