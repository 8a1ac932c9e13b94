/* The release. The only place that names it. */
#ifndef CMD_VERSION_H
#define CMD_VERSION_H

#ifndef WEIR_VERSION
#define WEIR_VERSION "0.1.0"
#endif

#endif
