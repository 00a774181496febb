//! Where tensors are, and what computes them.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device as Opened, Tensor};

/// What computes: the processor or a GPU.
///
/// It is chosen once, by name; [`open`](Self::open) makes the device that tensors are on. Whatever is built from those
/// stays on their device.
///
/// # Example
///
/// ```
/// use talkformer::nn::Device;
///
/// assert_eq!("cuda:1".parse(), Ok(Device::Cuda(1)));
/// assert_eq!(Device::default().to_string(), "cpu");
/// assert!(Device::Cpu.open()?.is_cpu());
/// # Ok::<(), talkformer::nn::DeviceError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// The NVIDIA GPU of this number, counted from zero. Needs the feature `cuda`.
    Cuda(usize),
    /// The GPU of a Mac. Needs the feature `metal`.
    Metal,
}

/// Why there is no such device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// A name that no device has.
    #[error("there is no device `{name}`; known are cpu, cuda, cuda:1 (the second GPU) and metal")]
    Unknown {
        /// What was given.
        name: String,
    },
    /// The program cannot use this kind of device.
    #[error("this program was built without support for {device}; build it with `--features {feature}`")]
    NotBuilt {
        /// What was asked for.
        device: Device,
        /// The feature that it needs.
        feature: &'static str,
    },
    /// Something that only the processor does.
    #[error("{what} the processor's work; leave {device} out")]
    OnlyProcessor {
        /// What was to be done, and its verb.
        what: &'static str,
        /// What was asked for.
        device: Device,
    },
    /// There is no GPU of this number.
    #[error("there is no GPU {device}; `nvidia-smi` lists those that can be used")]
    Missing {
        /// What was asked for.
        device: Device,
    },
    /// The driver is older than what the program was built with.
    #[error(
        "the driver of {device} is too old for this program; update the driver, or build with an older CUDA toolkit"
    )]
    Driver {
        /// What was asked for.
        device: Device,
    },
    /// The program has no code for this GPU.
    #[error(
        "{device} is too old for this program, which was built for newer GPUs; build it with CUDA_COMPUTE_CAP set for yours"
    )]
    TooOld {
        /// What was asked for.
        device: Device,
    },
    /// Another problem.
    #[error("{device} cannot be used: {problem}")]
    Unusable {
        /// What was asked for.
        device: Device,
        /// What its driver says.
        problem: String,
    },
}

impl Device {
    /// The device, ready for tensors; the same one each time.
    ///
    /// # Errors
    ///
    /// [`DeviceError`] says in one sentence why there is none.
    pub fn open(self) -> Result<Opened, DeviceError> {
        // Tensors of one GPU that was opened twice do not go together.
        static OPENED: Mutex<Vec<(Device, Opened)>> = Mutex::new(Vec::new());
        let feature = match self {
            Self::Cpu => return Ok(Opened::Cpu),
            Self::Cuda(_) if !candle_core::utils::cuda_is_available() => Some("cuda"),
            Self::Metal if !candle_core::utils::metal_is_available() => Some("metal"),
            _ => None,
        };
        if let Some(feature) = feature {
            return Err(DeviceError::NotBuilt { device: self, feature });
        }
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, device)) = opened.iter().find(|(own, _)| *own == self) {
            return Ok(device.clone());
        }
        let device = self.start().map_err(|error| self.explain(&format!("{error:?}")))?;
        opened.push((self, device.clone()));
        Ok(device)
    }

    /// Refuses a GPU for what only the processor does, such as `"word vectors are"`.
    ///
    /// # Errors
    ///
    /// [`DeviceError::OnlyProcessor`] for anything but [`Cpu`](Self::Cpu).
    pub(crate) fn only_processor(self, what: &'static str) -> Result<(), DeviceError> {
        if self == Self::Cpu { Ok(()) } else { Err(DeviceError::OnlyProcessor { what, device: self }) }
    }

    /// Opens it and computes something, which is when a driver or a GPU that is too old shows.
    fn start(self) -> candle_core::Result<Opened> {
        let device = match self {
            Self::Cpu => Opened::Cpu,
            // One stream for all threads: candle's own choice has one for each, which would have to wait for each other.
            Self::Cuda(number) => Opened::new_cuda_with_stream(number)?,
            Self::Metal => Opened::new_metal(0)?,
        };
        let one = Tensor::ones(4, DType::F32, &device)?;
        (&one + &one)?.sum_all()?.to_scalar::<f32>()?;
        Ok(device)
    }

    /// What the names of CUDA's errors mean for the one who started the program.
    fn explain(self, problem: &str) -> DeviceError {
        let says = |names: &[&str]| names.iter().any(|name| problem.contains(name));
        let device = self;
        if says(&["ERROR_NO_DEVICE", "ERROR_INVALID_DEVICE"]) {
            DeviceError::Missing { device }
        } else if says(&["UNSUPPORTED_PTX_VERSION", "SYSTEM_DRIVER_MISMATCH", "INSUFFICIENT_DRIVER"]) {
            DeviceError::Driver { device }
        } else if says(&["NO_BINARY_FOR_GPU", "INVALID_PTX", "ERROR_ARCH_MISMATCH"]) {
            DeviceError::TooOld { device }
        } else {
            DeviceError::Unusable { device, problem: problem.lines().next().unwrap_or_default().to_owned() }
        }
    }
}

impl FromStr for Device {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, DeviceError> {
        let number = name.strip_prefix("cuda:").map(str::parse);
        match (name, number) {
            ("cpu", _) => Ok(Self::Cpu),
            ("cuda", _) => Ok(Self::Cuda(0)),
            ("metal", _) => Ok(Self::Metal),
            (_, Some(Ok(number))) => Ok(Self::Cuda(number)),
            _ => Err(DeviceError::Unknown { name: name.to_owned() }),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(0) => f.write_str("cuda"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
            Self::Metal => f.write_str("metal"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for name in ["cpu", "cuda", "cuda:3", "metal"] {
            assert_eq!(name.parse::<Device>().unwrap().to_string(), name);
        }
        assert_eq!("cuda:0".parse(), Ok(Device::Cuda(0)));
        for name in ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "CPU"] {
            let message = name.parse::<Device>().unwrap_err().to_string();
            assert!(message.starts_with(&format!("there is no device `{name}`")), "{message}");
        }
    }

    #[cfg(not(any(feature = "cuda", feature = "metal")))]
    #[test]
    fn a_device_that_the_program_cannot_use_is_refused_in_one_sentence() {
        let says = |device: Device| device.open().unwrap_err().to_string();
        assert_eq!(
            says(Device::Cuda(1)),
            "this program was built without support for cuda:1; build it with `--features cuda`"
        );
        assert!(says(Device::Metal).ends_with("build it with `--features metal`"));
    }

    #[test]
    fn what_only_the_processor_does_is_refused_elsewhere() {
        assert!(Device::Cpu.only_processor("this is").is_ok());
        let message = Device::Cuda(0).only_processor("this is").unwrap_err().to_string();
        assert_eq!(message, "this is the processor's work; leave cuda out");
    }

    #[test]
    fn what_a_driver_says_is_explained() {
        let explain = |name: &str| Device::Cuda(0).explain(&format!("DriverError(CUDA_{name}, \"…\")"));
        assert!(matches!(explain("ERROR_NO_DEVICE"), DeviceError::Missing { .. }));
        assert!(matches!(explain("ERROR_UNSUPPORTED_PTX_VERSION"), DeviceError::Driver { .. }));
        assert!(matches!(explain("ERROR_NO_BINARY_FOR_GPU"), DeviceError::TooOld { .. }));
        assert!(
            explain("ERROR_ECC").to_string().starts_with("cuda cannot be used: DriverError(CUDA_ERROR_ECC")
        );
    }
}
