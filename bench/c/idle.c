/* One of the crowd: whatever its command line says, it sleeps. */
#include <unistd.h>

int main(void)
{
    for (;;)
        pause();
}
