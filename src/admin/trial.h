/* Calls that try something without changing anything: a config, a model's attempt queue, a request. */
#ifndef ADMIN_TRIAL_H
#define ADMIN_TRIAL_H

#include "admin/server.h"

admin_handler try_config, try_preview, try_request;

#endif
